"""What happens to each snippet of the documentation. Exactly one row must fit it, and each row must fit one.

To add a command to a page: often a row of RUN fits it already. If not, add a row there, with what makes it small. Files
that a page expects, such as a.wav or MYFOLDER, are made in tests/docs/workspace.py.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from snippets import Snippet, all_snippets

ONE_EPOCH = ("train.epochs=1", "schedule.warmup_epochs=0", "data.workers=0", "trackers.visualdl=null")
SHORT = (*ONE_EPOCH, "train.crop_s=0.5", "valid.crop_s=0.5")
TINY = (*SHORT, "train.batch_size=4")
FEW = ("data.params.clips_per_class=2", "data.params.valid_clips_per_class=1")
TONES = (*TINY, *FEW)
ONE_PROCESS: Mapping[str, str] = {"--nproc 2": "--nproc 1"}
ONE_FOLD = {"crossval": "crossval --folds 1 --nproc 1", " --nproc 2": ""}
PLACEHOLDERS = {"runs/NAME": "runs/own_sounds", r"-c FILE(?!\.)": "-c FILE.yaml"}
"""Patterns that are replaced in every command. The run in the working folder has a test split."""


@dataclass(frozen=True)
class Row:
    """What begins like `pattern`."""

    pattern: str

    def fits(self, snippet: Snippet) -> bool:
        """Whether this row is about the snippet."""
        return bool(re.match(self.pattern, snippet.text))


@dataclass(frozen=True)
class Run(Row):
    """Run what begins like `pattern`, with `add` at its end and what it has of the keys of `instead` replaced.

    `leaves` is a file or folder that must be there afterwards, `shows` a pattern that must be in the output.
    """

    add: tuple[str, ...] = ()
    instead: Mapping[str, str] = field(default_factory=dict)
    leaves: str = ""
    shows: str = ""
    long: bool = False


@dataclass(frozen=True)
class Install(Row):
    """Install with pip what begins like `pattern`: in INSTALL from the wheels, in one call, before everything else."""


@dataclass(frozen=True)
class Tested:
    """Another test runs all blocks of a page in these languages."""

    page: str
    languages: tuple[str, ...]
    test: str

    def fits(self, snippet: Snippet) -> bool:
        """Whether this row is about the snippet."""
        return snippet.page == self.page and snippet.language in self.languages


@dataclass(frozen=True)
class Left(Row):
    """Not run, for a reason."""

    reason: str


CHECKOUT = (Install(r"pip install -e '?(?!.*gpu)(\.|plugins)"),)
"""Those that install from a checkout, in a Python of their own."""

INSTALL = (Install(r"pip install '?pannsdist-"),)

RUN = (
    # README
    Run(r"pannsdist init --from digits/", leaves="digits.yaml", shows=r"starts at  efficientat_mn04"),
    Run(
        r"pannsdist train -c digits.yaml --nproc 2",
        ("train.epochs=1", "data.workers=0", "trackers.visualdl=null"),
        ONE_PROCESS,
        leaves="runs/digits/best_model/bundle.json",
    ),
    Run(
        r"pannsdist predict --model runs/digits/best_model --topk 3",
        instead={"unheard/seven/en029f2_0007.wav": "a.wav"},
        shows=r"a\.wav +\d 0\.\d",
    ),
    Run(
        r"pannsdist train -c recipe:own_sounds",
        ("--nproc", "1", *TINY, "data.params.test_fraction=0.3", "data.params.valid_fraction=0.3"),
        leaves="runs/own_sounds/best_model/bundle.json",
        shows=r"best valid/accuracy",
    ),
    Run(
        r"pannsdist train -c recipe:esc10_mn04 --nproc 2",
        (*ONE_EPOCH, "train.batch_size=8", "train.crop_s=1"),
        ONE_PROCESS,
        leaves="runs/esc10_mn04/best_model/bundle.json",
    ),
    Run(
        r"pannsdist probe -c recipe:esc10_mn04 --folds",
        leaves="runs/esc10_mn04_probe/best_model/bundle.json",
        shows=r"^mean of 5 folds, 20 clips",
        add=("data.workers=0", "train.crop_s=1"),
    ),
    Run(r"pannsdist probe -c digits.yaml$", ("data.workers=0",), leaves="runs/digits_probe/probe.json"),
    Run(r"pannsdist probe -c digits.yaml --kind knn", ("data.workers=0",), shows=r"so there is no model folder"),
    Run(r"pannsdist train -c FILE.yaml --dry-run", shows=r"\nbatch      4 = "),
    Run(
        r"pannsdist train -c recipe:demo --nproc 2",
        TONES,
        leaves="runs/demo/best_model/bundle.json",
        shows=r"^2 processes on the CPU",
    ),
    Run(r"pannsdist find-lr", ("train.limit_steps=4",), shows=r"\d"),
    Run(r"pannsdist crossval -c recipe:esc10_mn04 name=esc10_folds", TINY, ONE_FOLD, shows=r"fold_1 +\d"),
    Run(r"pannsdist sweep -c FILE", shows=r"learning_rate=1e-4,seed=1", long=True),
    Run(r"pannsdist data check -c FILE", shows=r"^unreadable: none"),
    Run(r"pannsdist data pack -c FILE -o packed", leaves="packed/pack.json"),
    Run(
        r"pannsdist data mix -c recipe:soundscapes/esc10 -o soundscapes",
        ("soundscapes.train=5", "soundscapes.valid=1", "labels=[dog,rain]", "--workers", "1"),
        instead={"data.params.root=DIR": "data.params.root=ESC-10"},
        leaves="soundscapes/clips.jsonl",
        shows=r"^6 soundscapes in ",
    ),
    Run(
        r"pannsdist train -c recipe:esc10_events --dry-run",
        ("train.batch_size=2",),
        shows=r"frames of 80 ms, attention pooling; 5 strongly",
    ),
    Run(r"pannsdist predict --model runs/demo/best_model a.wav b.ogg folder/", leaves="scores.csv"),
    Run(r"pannsdist evaluate --model runs/demo/best_model -c recipe:demo", TONES, shows=r"valid/accuracy +\d"),
    Run(r"pannsdist calibrate --model runs/demo$", shows=r"^temperature +\d"),
    Run(r"pannsdist export --model runs/demo/best_model", leaves="exported/export.json"),
    Run(r"import pannsdist\n\nmodel = pannsdist.load_model"),
    Run(r"pannsdist tag a.wav", shows=r"a\.wav +\w"),
    Run(r"pannsdist detect a.wav(?!.*raven)", shows=r"a\.wav"),
    Run(r"pannsdist embed folder/", leaves="embeddings.npz"),
    Run(r"pannsdist weights list", shows=r"as_mAP_432"),
    Run(r"pannsdist detect four_sounds.wav", leaves="detection.png"),
    Run(r"pannsdist detect folder/ .* --format dcase", leaves="detected.tsv"),
    Run(r"pannsdist detect folder/ .* --format audacity", leaves="tracks"),
    Run(r"pannsdist detect a.wav .* --format raven", leaves="a.selections.txt"),
    Run(r"pannsdist listen a.wav", shows=r'^\{"onset_s": 0\.0, "offset_s": '),
    Run(r"import soundfile\n\nfrom pannsdist import load_model", shows=r"^0\.0 0\.5 \["),
    Run(r"pannsdist (plugins|config) list", shows=r"esc50"),
    Run(r"pannsdist plugins show model efficientat_mn04", shows=r"efficientat_mel"),
    Run(r"pannsdist plugins new dataset birdsong$", leaves="pannsdist-birdsong/setup.cfg"),
    Run(r"pip install -e pannsdist-birdsong", leaves="pannsdist-birdsong"),
    Run(
        r"pannsdist plugins check dataset birdsong$",
        instead={"pannsdist plugins": "env pannsdist plugins"},  # a process of its own, after the installation
        shows=r"\n\d+ ok",
    ),
    # docs: decisions
    Run(r"pannsdist calibrate --model runs/digits", shows=r"^energy +-?\d.*none of these"),
    Run(r"pannsdist predict --model runs/digits/best_model a.wav folder/ --topk 3$", shows=r"a\.wav +(\d|none).*:"),
    Run(r"pannsdist predict --model runs/digits/best_model a.wav folder/ --raw", shows=r"a\.wav +\d 0\.\d"),
    Run(r"pannsdist evaluate --model runs/digits/best_model -c digits.yaml$", shows=r"^valid/decided_macro_f1 +\d"),
    Run(
        r"pannsdist export --model runs/digits/best_model --format onnx -o exported_digits",
        leaves="exported_digits/model.onnx",
    ),
    Run(r"from pannsdist import load_model\n", shows=r"^Decisions\(temperature=\d"),
    Run(r"import numpy as np\nimport onnxruntime\n", shows=r"^(True|False)$"),
    # docs: one page for each task
    Run(r"pannsdist evaluate --model runs/digits/best_model -c digits.yaml --per-class", shows=r"^7 +\d"),
    Run(r"pannsdist predict --model runs/digits/best_model a.wav folder/ .* -o answers.csv", leaves="answers.csv"),
    Run(r"pannsdist init --from street.csv", leaves="street.yaml", shows=r"several labels each"),
    Run(
        r"pannsdist train -c street.yaml --nproc 2",
        ("train.epochs=1", "data.workers=0", "trackers.visualdl=null"),
        ONE_PROCESS,
        leaves="runs/street/best_model/bundle.json",
    ),
    Run(r"pannsdist evaluate --model runs/street/.* --per-class", shows=r"^siren +\d"),
    Run(r"pannsdist calibrate --model runs/street", shows=r"^thresholds +0\.\d+ for the highest F1"),
    Run(
        r"pannsdist evaluate --model runs/street/.* --predictions",
        leaves="decided.csv",
        shows=r"^test/decided_macro_f1 +\d",
    ),
    Run(r"pannsdist predict --model runs/street/best_model", leaves="tags.csv"),
    Run(r"pannsdist export --model runs/street/best_model", leaves="exported_street/model.onnx"),
    Run(
        r"pannsdist train -c recipe:esc10_events --nproc 2",
        (*ONE_EPOCH, "train.batch_size=2", "metrics.psds1=null", "metrics.psds2=null"),
        ONE_PROCESS,
        leaves="runs/esc10_events/best_model/bundle.json",
        shows=r"next: pannsdist detect --model runs/esc10_events/best_model",
    ),
    Run(r"pannsdist evaluate --model runs/esc10_events/best_model", shows=r"^valid/event_f1 +\d"),
    Run(r"pannsdist calibrate --model runs/esc10_events", shows=r"^frames +threshold and median filter"),
    Run(r"pannsdist detect soundscapes/valid/ .* --format dcase", leaves="found.tsv"),
    Run(r"pannsdist detect soundscapes/valid/ .* --format audacity", leaves="found_tracks"),
    Run(r"pannsdist predict --model runs/esc10_events/best_model", shows=r"valid_000000\.wav"),
    Run(r"pannsdist export --model runs/esc10_events/best_model(?!.*fp16)", leaves="exported_events/frames/model.onnx"),
    # docs: small devices, Triton
    Run(
        r"pannsdist export --model runs/esc10_mn04_probe/best_model .*int8",
        ("--max-loss", "1"),
        leaves="exported_int8/model.onnx",
        shows=r"^bytes of the network +\d.*% *$",
    ),
    Run(
        r"pannsdist export --model runs/esc10_mn04_probe/best_model .*fp16",
        ("--max-loss", "1"),
        leaves="exported_fp16/model.onnx",
        shows=r"^speed +1 ",
    ),
    Run(
        r"pannsdist export --model runs/esc10_events/best_model .*fp16",
        ("--max-loss", "1"),
        leaves="exported_events_fp16/frames/model.onnx",
        shows=r"^the same decision for ",
        long=True,  # the model is that of a later page
    ),
    Run(
        r"pannsdist export --model runs/NAME/best_model --format triton",
        leaves="model_repository/own_sounds/config.pbtxt",
        shows=r"^models: own_sounds$",
    ),
    # docs
    Run(r"pannsdist data cache -c digits.yaml$", shows=r"^clips: (\d+), all of each in the cache: \1$"),
    Run(r"pannsdist data cache -c digits.yaml --check", shows=r"packs; damaged: none$"),
    Run(r"pannsdist crossval .* --dry-run", shows=r"fold_2"),
    Run(
        r"pannsdist crossval .* data.params.root=ESC-50-master --nproc 2",
        (*TINY, "name=series"),
        ONE_FOLD,
        shows=r"fold_1 ",
        long=True,
    ),
    Run(
        r"pannsdist crossval .* --final",
        (*TINY, "name=finished"),
        ONE_FOLD,
        leaves="runs/finished/final/best_model/bundle.json",
        long=True,
    ),
    Run(r"pannsdist crossval -c my.yaml data.name=folder", TINY, ONE_FOLD, shows=r"fold_1 +\d"),
    Run(  # under another name, since the command before it has made the runs of my.yaml from other sounds
        r"pannsdist crossval -c my.yaml data.name=manifest",
        ("name=listed", *TINY),
        ONE_FOLD,
        shows=r"fold_1 +\d",
        long=True,
    ),
    Run(
        r"pannsdist sweep -c recipe:tones_cnn6",
        (*SHORT, *FEW),
        {"1e-4,3e-4,1e-3": "1e-3", "train.batch_size=8,16": "train.batch_size=2,4"},
        shows=r"batch_size=4,seed=1",
        long=True,
    ),
    Run(r"pannsdist evaluate --model runs/NAME/best_model -c runs/NAME/settings.yaml$", shows="accuracy"),
    Run(r"pannsdist evaluate --model runs/NAME/.* --per-class", leaves="classes.csv"),
    Run(r"pannsdist evaluate --model runs/NAME/.* --predictions", leaves="test.csv"),
    Run(r"pannsdist report runs/NAME", leaves="runs/own_sounds/report.html"),
    Run(r"pannsdist runs list", shows=r"own_sounds .*finished"),
    Run(
        r"pannsdist runs compare",
        instead={"runs/a": "runs/own_sounds", "runs/b": "runs/esc10_mn04"},
        shows=r"model\.name",
    ),
    Run(r"pannsdist runs clean", shows=r"--yes"),
    Run(
        r"pannsdist export --model runs/NAME/best_model --format paddle",
        instead={"-o exported": "-o of_paddle"},
        leaves="of_paddle/export.json",
    ),
    Run(
        r"pannsdist export --model runs/NAME/best_model --format onnx",
        instead={"-o exported": "-o of_onnx"},
        leaves="of_onnx/export.json",
    ),
    Run(r"class Birdsong:\n    contract = 1\n$"),
    Run(r"pannsdist engines$", shows=r"^dygraph +fp32 +available"),
    Run(r"pannsdist engines --model runs/NAME/best_model$", shows=r"^chosen: "),
    Run(
        r"pannsdist engines --model runs/NAME/best_model --measure FILE",
        ("--rounds", "1"),
        instead={"FILE...": "a.wav"},
        shows=r"^written: .*engines\.json",
    ),
    # benchmarks
    Run(r"python benchmarks/train_step.py", ("--quick",), shows=r"^\| onednn, 2 processes \|"),
    Run(r"python benchmarks/predict.py", ("--quick",), shows=r"^\| onnx \|"),
    Run(r"python benchmarks/zero_shot.py", ("--quick",), shows=r"on 10 clips of ESC-10.*: (9|10) right"),
    Run(r"python benchmarks/probe.py", ("--quick",), shows=r"^\| body once: a later epoch \|", long=True),
    Run(r"python benchmarks/train_overheads.py", ("--quick",), shows=r"^\| run resumed after four epochs \|"),
    Run(r"python benchmarks/start.py", ("--quick",), shows=r"^\| pannsdist tag \|"),
    Run(r"python benchmarks/scaling.py", ("--quick", "--arms", "2 processes"), shows=r"^\| 2 processes \|"),
    Run(r"python benchmarks/barriers.py", ("--quick",), shows=r"^\| all together \|"),
    Run(r"python benchmarks/recovery.py", ("--quick",), shows=r"^\| node \| |^skipped: "),
    Run(r"python benchmarks/watching.py", ("--quick",), shows=r"^\| all metrics, 80 clips"),
    Run(r"python benchmarks/data.py", ("--quick",), shows=r"^\| reader \|"),
    Run(r"python benchmarks/data_cache.py", ("--quick",), shows=r"^\| features in the cache \|"),
    Run(r"python benchmarks/data_loading.py", ("--quick",), shows=r"^\| no worker, again \| .*\("),  # of two rounds
    Run(r"python benchmarks/message_sizes.py", ("--quick",), shows=r"^\| `efficientat_mn04` \| 738,898 \| 3.0 \|"),
    Run(r"python benchmarks/detection.py", ("--quick",), shows=r"^\| frames of 80 ms \|"),
    Run(r"python benchmarks/serving.py", ("--quick",), shows=r"^\| batches of one \|"),
    Run(r"python benchmarks/streaming.py", ("--quick",), shows=r"^\| onnx, pieces of 2 s \|"),
    Run(r"pannsdist export --model runs/NAME/best_model --format web", leaves="page/page.json"),
    Run(
        r"python benchmarks/browser.py",
        ("--quick",),
        shows=r"^largest difference of a probability: .*\nthe same events: 3 of 3|^Chromium is missing",
    ),
    Run(r"python benchmarks/decisions.py", ("--quick",), shows=r"^the exported ONNX decides (\d+) of \1 clips"),
    Run(r"python benchmarks/small_exports.py", ("--quick",), shows=r"^\| int8 \| \d"),
    Run(r"python benchmarks/sound_events.py", ("--quick",), shows=r"^\| by frame, no median filter \|"),
    Run(r"python benchmarks/event_labels.py", ("--quick",), shows=r"^\| DCASE table \|"),
    Run(r"python benchmarks/million_clips.py", ("--quick",), shows=r"^\| ids of an evaluation \|"),
    Run(r"python benchmarks/augmentations.py", ("--quick",), shows=r"^\| codec, gsm \|"),
    Run(r"python benchmarks/held_out_voices.py", ("--quick",), shows=r"^1 draw: mean 0"),
    Run(r"python benchmarks/bench.py", ("--quick", "--only", "message_sizes"), shows=r"^written: "),
)

TESTED = (
    Tested(
        "docs/en/own_sounds.md",
        ("",),
        "tests/runs/test_own_sounds.py::test_a_folder_becomes_a_model_and_a_table_becomes_decisions",
    ),
    Tested(
        "docs/en/plugins.md",
        ("sh",),
        "tests/runs/test_author_page.py::test_what_the_page_says_can_be_typed_as_it_stands",
    ),
    Tested("docs/en/doctor.md", ("console",), "tests/unit/cli/test_doctor_command.py::test_the_table_of_the_page"),
    Tested("docs/en/api.md", ("python",), "tests/unit/inference/test_api_page.py::test_the_example_runs_as_it_stands"),
    Tested(
        "docs/en/paddlehub.md",
        ("python",),
        "tests/runs/test_seed_document.py::test_the_page_of_the_docs_shows_the_same_code",
    ),
    Tested(
        "docs/en/publishing.md",
        ("", "python"),
        "tests/unit/publishing/test_publishing_page.py::test_the_blocks_of_the_page_run_with_a_hub",
    ),
    Tested("docs/en/serving.md", ("", "python"), "tests/serving/test_serving_page.py::test_each_command_is_answered"),
    Tested("docs/en/export.md", ("python",), "tests/unit/inference/engines/test_export.py::snippet_answers"),
)

SETTINGS = "yaml"
"""Blocks in this language are settings: tests/docs/test_settings_blocks.py reads them."""

LEFT = (
    Left(
        r"python -m http.server", "serves until it is stopped; tests/unit/web/test_web_export.py serves and asks a page"
    ),
    Left(r"make (demo|test)", "sets up .venv, which downloads Paddle; .ci/run does it in a fresh clone"),
    Left(r"pip install .*gpu", "downloads the wheel for GPUs"),
    Left(r"pannsdist (train|crossval) .* --gpus 0,1,2,3", "needs four GPUs"),
    Left(r"pannsdist export --model panns_cnn14", "downloads 312 MB of weights"),
    Left(
        r"visualdl --logdir", "serves until it is stopped; tests/runs/test_visualdl_page.py looks at it with a browser"
    ),
    Left(r"pip install 'pannsdist\[serve\]'", "downloads the packages of an HTTP server, which the tests have already"),
    Left(
        r"pannsdist serve --model runs/(NAME|esc10_mn04_probe)/best_model$",
        "serves until it is stopped; tests/page/test_page.py looks at it with a browser",
    ),
    Left(r"MASTER=.* launch/several_nodes.sh", "needs two machines; it calls the command of the row below"),
    Left(
        r"pannsdist train --nodes 2", "needs two machines; tests/hosts/test_documented_command.py runs it as it stands"
    ),
    Left(
        r"export (PANNSDIST_MIRROR|HF_ENDPOINT)=", "mirrors; tests/unit/weights/downloads/test_mirrors.py has its own"
    ),
    Left(
        r"pannsdist doctor .* --nodes 3",
        "needs three machines; tests/unit/run/doctor/test_comparison_of_nodes.py has its own",
    ),
    Left(r"pannsdist listen --", "needs a microphone; tests/unit/cli/test_listen_command.py has one that reads a pipe"),
    Left(r"ffmpeg .* pannsdist listen", "needs ffmpeg; tests/unit/cli/test_listen_command.py pipes samples itself"),
    Left(r"sbatch --nodes 4 ", "needs Slurm; tests/hosts/test_slurm.py starts one and submits this script"),
    Left(r"kubectl ", "needs a cluster; tests/hosts/test_kubernetes.py checks the files and runs their commands"),
    Left(r"pannsdist train -c FILE data.name=manifest data.params.path=https", "tests/runs/test_any_store.py does it"),
    Left(
        r"docker (build|run)(?!.*tritonserver) ",
        "needs Docker; tests/house/test_containers.py lints the files and runs them",
    ),
    Left(r"hf download ", "downloads a dataset; plugins/pannsdist-parquet/tests writes the same layout"),
    Left(r"pip install onnx2tf|onnxsim |onnx2tf |import numpy as np\nfrom ai_edge_litert", "brings TensorFlow along"),
    Left(r"docker run .*tritonserver|import soundfile\nimport soxr\nimport tritonclient", "needs Triton's container"),
    Left(r"from pathlib import Path\n\nimport bentoml|bentoml serve|curl -X POST .*sound=", "brings BentoML along"),
    Left(r"python -m pytest plugins/", "these tests are part of `make test`"),
    Left(r"class FBeta:", "parts of what `plugins new` writes, which tests/runs/test_templates.py checks"),
    Left(r"\[options.entry_points\]", "a part of setup.cfg, as `plugins new` writes it"),
)

ROWS = (*INSTALL, *CHECKOUT, *RUN, *TESTED, *LEFT)


def rows_for(snippet: Snippet) -> list[Row | Tested]:
    """The rows that fit a snippet; those about a whole page come before all others."""
    tested = [row for row in TESTED if row.fits(snippet)]
    return tested or [row for row in ROWS if row.fits(snippet)]


def chosen(kind: tuple) -> dict[str, tuple]:
    """The snippets that rows of this kind fit, each text once, in the order of the pages."""
    found: dict[str, tuple] = {}
    for snippet in all_snippets():
        for row in rows_for(snippet):
            if row in kind:
                found.setdefault(snippet.text, (snippet, row))
    return found


def problems(snippets: list[Snippet]) -> list[str]:
    """Each snippet with no row, or with several, by page and line."""
    found = []
    for snippet in snippets:
        count = len(rows_for(snippet))
        if snippet.language != SETTINGS and count != 1:
            found.append(f"{snippet}: {count} rows of tests/docs/table.py fit it, not one")
    return found
