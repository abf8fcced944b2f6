"""The document that this project grew from: PaddleHub's tutorial runs as it stands, with other import lines."""

import ast
import csv
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import calling
import hub_parts
import launching
import paddle
import pytest
import soundfile

from pannsdist.hub.datasets import ESC50
from pannsdist.inference import audioset
from pannsdist.registry import Catalog

DOCS = Path(__file__).resolve().parents[2] / "docs"
IMPORTS = (
    (
        "import paddle\nimport paddlehub as hub\nfrom paddlehub.datasets import ESC50",
        "from pannsdist import hub\nfrom pannsdist.hub.datasets import ESC50\nimport paddle",
    ),
    ("import paddlehub as hub", "from pannsdist import hub"),
    ("from paddlehub.datasets import ESC50", "from pannsdist.hub.datasets import ESC50"),
    ("from paddlehub.env import MODULE_HOME", "from pannsdist.hub.env import MODULE_HOME"),
)
"""All that a user changes. pannsdist comes before paddle: it sets what must be set before that import."""
SMALLER = (("name='panns_cnn14'", "name='panns_cnn6'"), ("epochs=50", "epochs=2"))
"""What the tests change beside that, for time: the small network, and two epochs."""
TRAINING, PREDICTION, TAGGING = slice(0, 4), 4, 5
ROWS = 2
"""Clips of each split, of ESC-10's real ones."""


def blocks(text):
    """The Python of a page: its code blocks but those for a shell."""
    found = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block for block in found if "python train.py" not in block]


def changed(code, replacements):
    for before, after in replacements:
        code = code.replace(before, after)
    return code


def meaning(code):
    """Code without its comments, its empty lines and its kind of quotes."""
    return ast.unparse(ast.parse(code))


@pytest.fixture(scope="module")
def seed():
    path = Path(__file__).resolve().parents[3] / "shared" / "seed" / "paddlehub_audio_classification.md"
    if not path.is_file():
        pytest.skip("the folder `shared` with the seed document is not beside the repository")
    found = blocks(path.read_text(encoding="utf-8"))
    assert len(found) == 6
    return found


@dataclass(frozen=True)
class Place:
    """Where the snippets run: a working folder with cat.wav, a small corpus, random weights where they belong."""

    work: Path
    env: dict[str, str]

    def script(self, name, code, work):
        """The path of a script with the code of the document, as the tests change it."""
        work.mkdir(exist_ok=True)
        path = work / name
        path.write_text(changed(code, (*IMPORTS, *SMALLER)), encoding="utf-8")
        return path


@pytest.fixture(scope="module")
def place(seed, tmp_path_factory):  # noqa: ARG001 without the document there is nothing to run
    root = tmp_path_factory.mktemp("seed")
    work = root / "work"
    work.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PANNSDIST_HOME", str(root / "home"))
        plugin = Catalog.installed().models.find("panns_cnn6").load()
        paddle.seed(0)
        hub_parts.put_weights(plugin, plugin(plugin.Params()).build(audioset.labels(), plugin.front_end))
    corpus = Path(__file__).resolve().parents[3] / "shared" / "data" / "ESC-10"
    (root / "corpus" / "meta").mkdir(parents=True)
    (root / "corpus" / "audio").mkdir()
    with (corpus / "meta" / "esc50.csv").open(encoding="utf-8") as file:
        table = list(csv.reader(file))
    chosen = [row for fold in "12" for row in [row for row in table if row[1] == fold][:ROWS]]
    with (root / "corpus" / "meta" / "esc50.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([table[0], *chosen])
    for name, *_ in chosen:
        shutil.copy(corpus / "audio" / name, root / "corpus" / "audio")
    samples, rate_hz = soundfile.read(corpus / "audio" / "1-100032-A-0.ogg")
    soundfile.write(work / "cat.wav", samples[: 5 * rate_hz], rate_hz, subtype="FLOAT")
    return Place(work, {"PANNSDIST_HOME": str(root / "home"), "PANNSDIST_ESC50": str(root / "corpus")})


@pytest.fixture(scope="module")
def alone(place, seed):
    """The four steps, the prediction and the tagging in one process, as three scripts in turn."""
    code = {"train": "\n".join(seed[TRAINING])}
    code |= {"predict": seed[PREDICTION] + noted("predicted.json"), "tag": seed[TAGGING] + noted("tagged.json")}
    scripts = {name: place.script(f"{name}.py", text, place.work) for name, text in code.items()}
    commands = {name: launching.Command((path,), place.work) for name, path in scripts.items()}
    return launching.in_turn(commands, place.work.parent / "alone", processes=0, env=place.env)


def noted(name):
    return f"\nimport json; json.dump(result, open('{name}', 'w'))\n"


def without_gpu():
    return not paddle.device.is_compiled_with_cuda()


def test_the_four_steps_train_and_evaluate(alone, place):
    trained = alone["train"]
    assert re.search(r"^epoch 2/2  train/loss \d", trained.output, re.MULTILINE)
    assert re.search(r"^evaluation  acc [01]\.\d{4}  loss \d", trained.output, re.MULTILINE)
    assert trained.output.count("use_gpu=True, but Paddle finds no GPU: using the CPU\n") == without_gpu()
    assert sorted(path.name for path in (place.work / "best_model").iterdir()) == ["bundle.json", "model.pdparams"]
    progress = json.loads((place.work / "checkpoints" / "last" / "progress.json").read_text())
    assert progress["epoch"] == 2
    assert list((place.work / "visualization").glob("vdlrecords.*"))
    assert json.loads((place.work / "best_model" / "bundle.json").read_text())["labels"] == ESC50.label_list


def test_the_prediction_snippet_gives_every_label_its_probability(alone, place):
    assert "OrderedDict(" in alone["predict"].output
    (result,) = json.loads((place.work / "predicted.json").read_text())
    assert sorted(result) == sorted(ESC50.label_list)
    assert list(result.values()) == sorted(result.values(), reverse=True)
    assert sum(result.values()) == pytest.approx(1.0, abs=1e-5)
    command = ("predict", "--model", "best_model", "cat.wav", "--topk", "50", "--format", "json")
    launched = calling.pannsdist(*command, cwd=place.work)
    assert launched.exit_code == 0, str(launched)
    shown = {name: float(value) for name, value in re.findall(r'"([A-Z][^"]*)": ([\d.e-]+)', launched.output)}
    assert shown == pytest.approx(result, abs=1e-4), "the command gives the same for the same folder"


def test_the_tagging_snippet_gives_ten_of_audiosets_labels(alone, place):
    (result,) = json.loads((place.work / "tagged.json").read_text())
    assert sorted(result) == sorted(audioset.labels())
    shown = re.findall(r"^(.+): (\d\.\S+)$", alone["tag"].output, re.MULTILINE)
    assert [(label, float(score)) for label, score in shown if label in result] == list(result.items())[:10]


def test_the_four_steps_train_under_the_launcher(place, seed):
    work = place.work.parent / "together"
    script = place.script("train.py", "\n".join(seed[TRAINING]), work)
    launched = launching.launch(script.name, env=place.env, cwd=work)
    assert launched.exit_codes == (0, 0), str(launched)
    first, second = launched.logs
    assert re.search(r"^epoch 2/2  train/loss \d", first, re.MULTILINE)
    assert first.count("use_gpu=True, but Paddle finds no GPU: using the CPU\n") == without_gpu()
    assert "use_gpu" not in second and "epoch 2/2" not in second
    assert (work / "best_model" / "model.pdparams").is_file()


@pytest.mark.parametrize("page", ["en/paddlehub.md", "zh/paddlehub.md"])
def test_the_page_of_the_docs_shows_the_same_code(seed, page):
    shown = blocks((DOCS / page).read_text(encoding="utf-8"))
    assert [meaning(block) for block in shown] == [meaning(changed(block, IMPORTS)) for block in seed]
