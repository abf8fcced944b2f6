"""Time from a command to the first batch of a training, and of `pannsdist tag` with one clip.

    python benchmarks/start.py [--models NAME ...] [--rounds N] [--quick]

Each arm is a new process on generated clips and random weights. It runs once before the first round, so that files are
in memory and modules compiled. A training ends in a feature plugin (`first_batch.py`), when it receives the first
batch. The references use Paddle alone (`bare_start.py`). Processor seconds are those of the process that is timed,
without its workers and without the launcher.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bare_start import CLIP, CLIPS, MODELS, WEIGHTS
from first_batch import FILE
from measuring import Table, interleave_several, parser, present

import pannsdist

HERE = Path(__file__).resolve().parent
TRAIN = str(Path(pannsdist.__file__).with_name("train.py"))
LAUNCHER = ("-W", "ignore", "-m", "paddle.distributed.launch", "--log_level", "WARNING", "--log_dir", "log")
COMMAND = ("-W", "ignore", "-m", "pannsdist")
ENTRY_POINTS = "[pannsdist.features]\nfirst_batch = first_batch:FirstBatch\n"
NOTE = "note"


@dataclass(frozen=True)
class Arm:
    """The words after `python`, and how many processes receive a batch; with none it is timed to its end."""

    words: Sequence[str]
    batches: int = 1


def main() -> None:
    """Prepare clips and weights, run the arms in rounds, and print the tables."""
    arguments = parser("Time to the first batch and to the first answer.")
    arguments.add_argument("--models", nargs="+", default=list(MODELS)[:2], choices=MODELS, help="model plugins")
    chosen = arguments.parse_args()
    if chosen.quick:
        chosen.models, chosen.rounds = ["panns_cnn6"], 1
    tables: list[Table] = []
    for model in chosen.models:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder, model)
            for title, arms in ((f"{model}, first batch", training(model)), (f"{model}, one clip", tagging(model))):
                kept = {key: arm for key, arm in arms.items() if not chosen.quick or key in QUICK}
                tables += measure(title, kept, folder, chosen.rounds, not chosen.quick)
    present(tables, chosen.json)


def prepare(folder: Path, model: str) -> None:
    """Write clips, weights, an empty settings file, and the package of the plugin."""
    subprocess.run([sys.executable, str(HERE / "bare_start.py"), "prepare", model], cwd=folder, check=True)  # noqa: S603
    package = folder / "first_batch-1.dist-info"
    package.mkdir()
    (package / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    (folder / "settings.yaml").write_text(f"data: {{name: folder, params: {{root: {CLIPS}}}}}\n", encoding="utf-8")


def training(model: str) -> dict[str, Arm]:
    """The arms of a training from weights of AudioSet's classes."""
    feature = "logmel" if model.startswith("panns") else "efficientat_mel"
    words = ["-c", "settings.yaml", f"model.name={model}", f"model.weights={WEIGHTS}"]
    words += ["feature.name=first_batch", f"feature.params.of={feature}", "train.batch_size=8", "train.crop_s=5"]
    return {
        "import paddle, weights": Arm(bare("weights", model)),
        "import paddle": Arm(bare("import", model)),
        "import paddle, weights, network": Arm(bare("network", model)),
        "train.py": Arm([TRAIN, *words]),
        "pannsdist train, 1 process": Arm([*COMMAND, "train", "--nproc", "1", *words]),
        "launcher, 1 process": Arm([*LAUNCHER, "--nproc_per_node", "1", TRAIN, *words]),
        "pannsdist train, 2 processes": Arm([*COMMAND, "train", "--nproc", "2", *words], 2),
    }


def tagging(model: str) -> dict[str, Arm]:
    """The arms of one clip, timed to the end of the process."""
    words = ["tag", "--model", model, "--weights", WEIGHTS, CLIP]
    return {"Paddle alone": Arm(bare("forward", model), 0), "pannsdist tag": Arm([*COMMAND, *words], 0)}


QUICK = ("import paddle, weights", "train.py", "Paddle alone", "pannsdist tag")


def bare(step: str, model: str) -> list[str]:
    """The words of a reference."""
    return [str(HERE / "bare_start.py"), step, model]


def measure(title: str, arms: Mapping[str, Arm], folder: Path, rounds: int, warm_up: bool) -> Iterator[Table]:
    """Seconds, and processor seconds, of each arm."""
    for arm in arms.values() if warm_up else ():
        run(arm, folder)
    found, cpu_s = interleave_several(arms, rounds, "s", lambda name: run(arms[name], folder))
    yield Table(title, "seconds", found, better="lower")
    yield Table(f"{title}, processor time", "CPU seconds", cpu_s, better="lower")


def run(arm: Arm, folder: Path) -> tuple[float, float]:
    """(seconds, processor seconds) of an arm. Raises SystemExit with its output if it fails."""
    for path in (*folder.glob(f"{NOTE}.*"), folder / "runs"):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    before, start = children_s(), time.time()
    done = subprocess.run(  # noqa: S603
        [sys.executable, *arm.words], cwd=folder, env=environment(folder), capture_output=True, text=True, check=False
    )
    end, used = time.time(), children_s() - before
    notes = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob(f"{NOTE}.*")]
    if len(notes) != arm.batches or (done.returncode != 0 and not notes):
        raise SystemExit(f"{' '.join(arm.words)} failed with code {done.returncode}\n{done.stdout}{done.stderr}")
    if not notes:
        return end - start, used
    return max(note["time"] for note in notes) - start, max(note["cpu"] for note in notes)


def environment(folder: Path) -> dict[str, str]:
    """Compiled modules are kept, as those of an installed package are, and the plugin is found."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    paths = filter(None, (str(folder), str(HERE), os.environ.get("PYTHONPATH", "")))
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), FILE: str(folder / NOTE)}


def children_s() -> float:
    """The processor seconds of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
