"""Training the head alone on ESC-10: `pannsdist probe` beside zero-shot, and a frozen body computed once or each time.

    python benchmarks/probe.py --data ESC-10 [--weights FILE] [--rounds N] [--quick]

`--data` is a folder with `audio/` and `meta/esc50.csv`, as ESC-50 is published; the ten classes of ESC-10 are used
(Piczak 2015). First, whole commands, start-up included: five folds of the probe with an empty cache of embeddings, and
`zero_shot.py`, which trains nothing. Then epochs of `train.freeze=[body]` on the first fold, with their evaluation: the
arm that computes the body in every step has an augmentation of probability 0, which changes no clip.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, nullcontext, redirect_stdout
from pathlib import Path

from measuring import Table, interleave, parser, present

from pannsdist import settings
from pannsdist.contracts import EpochReport
from pannsdist.runtime import console, cpu

HERE = Path(__file__).resolve().parent
CONFIG = HERE.parent / "configs" / "esc10_mn04.yaml"
ZERO_SHOT, PROBE = "zero-shot", "probe, five folds"
EACH_STEP, FIRST, LATER = "body in every step", "body once: the first epoch", "body once: a later epoch"
FROZEN = ("train.freeze=[body]", "train.epochs=1", "schedule.warmup_epochs=0", "trackers.visualdl=null")


class Seconds:
    """A tracker that keeps how long each epoch took."""

    def __init__(self) -> None:
        self.epochs: list[float] = []

    def steps(self, report: object) -> None:
        """Nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Keep the seconds."""
        self.epochs.append(report.seconds)

    def flush(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def main() -> None:
    """Print the tables."""
    arguments = parser("The probe beside zero-shot, and a frozen body computed once or in every step.")
    arguments.add_argument("--data", type=Path, required=True, help="folder with audio/ and meta/esc50.csv")
    arguments.add_argument("--weights", default="", help="tag of weights, or a file (default: the recipe's)")
    chosen = arguments.parse_args()
    cpu.use_fast_kernels()
    console.quiet_paddle()
    console.quiet_compiler()
    with tempfile.TemporaryDirectory() as folder:
        data = chosen.data.resolve()
        if chosen.quick:
            chosen.rounds, data = 1, few(data, Path(folder) / "few")
        given = [f"data.params.root={data}", f"runs={folder}/runs"]
        given += [f"model.weights={chosen.weights}"] if chosen.weights else []
        means: list[float] = []
        commands = {ZERO_SHOT: zero_shot(data, chosen.weights), PROBE: probe(given)}

        def command(arm: str) -> float:
            took = run(commands[arm], Path(folder))
            if arm == PROBE:
                means.append(mean_accuracy(Path(folder) / "runs" / "esc10_mn04_probe"))
            return took

        whole = interleave(commands, chosen.rounds, "s", command)
        os.environ["PANNSDIST_HOME"] = f"{folder}/kept"
        epochs = interleave((EACH_STEP, FIRST, LATER), chosen.rounds, "s", lambda arm: epoch(given, arm, Path(folder)))
        title = f"ESC-10, mean accuracy of the five folds {means[-1]:.4f}"
        tables = [
            Table(f"{title}: whole commands, empty cache", "seconds", whole, better="lower"),
            Table("ESC-10, fold 1: an epoch with a frozen body, and its evaluation", "seconds", epochs, better="lower"),
        ]
        present(tables, chosen.json)


def zero_shot(data: Path, weights: str) -> list[str]:
    """The command that trains nothing."""
    return [str(HERE / "zero_shot.py"), "--data", str(data), *(["--weights", weights] if weights else [])]


def probe(given: Sequence[str]) -> list[str]:
    """The command that trains the head of each fold."""
    return ["-m", "pannsdist", "probe", "-c", str(CONFIG), "--folds", *given]


def run(words: Sequence[str], folder: Path) -> float:
    """Run Python with an empty cache of embeddings, but with downloaded weights; the seconds it took."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        link_downloads(Path(home))
        start = time.perf_counter()
        environment = {**os.environ, "PANNSDIST_HOME": home}
        subprocess.run([sys.executable, *words], env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        return time.perf_counter() - start


def link_downloads(home: Path) -> None:
    """Everything that this user has downloaded, without the cache of arrays."""
    from pannsdist.cache.arrays import FOLDER
    from pannsdist.runtime.user_folder import home as own_home

    for path in own_home().iterdir() if own_home().is_dir() else ():
        if path.name != FOLDER:
            (home / path.name).symlink_to(path.resolve())


def mean_accuracy(folder: Path) -> float:
    """The mean of the accuracies of the folds."""
    divisions = json.loads((folder / "probe.json").read_text(encoding="utf-8"))["divisions"].values()
    found = [one["scores"]["valid/accuracy"] for one in divisions]
    return float(sum(found) / len(found))


def epoch(given: Sequence[str], arm: str, folder: Path) -> float:
    """Seconds of one epoch. `LATER` follows `FIRST`, whose cache it uses."""
    from pannsdist.audio.loader import Loader
    from pannsdist.distributed.fleet import connect
    from pannsdist.registry import Catalog
    from pannsdist.run import building
    from pannsdist.run.planning.decide import decide
    from pannsdist.training.fit_context import ResultSinks

    if arm == FIRST:
        shutil.rmtree(folder / "kept", ignore_errors=True)
    unchanged = ["augment.gain.probability=0"] if arm == EACH_STEP else []
    chosen, origin = settings.load(CONFIG, [*given, *FROZEN, *unchanged])
    plan, seconds = decide(chosen, origin, Catalog.installed(), 1), Seconds()
    with redirect_stdout(io.StringIO()), closing(Loader(plan.workers)) as loader:
        network = building.build_network(plan)
        building.load_pretrained(plan, network, None)
        parts = building.build_parts(plan, connect(), network, loader)
        progress = parts.trainer.restore(None)
        with parts.frozen_body or nullcontext():
            parts.trainer.fit(progress, parts.data, parts.split, ResultSinks([seconds]))
    return seconds.epochs[0]


def few(data: Path, folder: Path) -> Path:
    """One clip of each class and fold, in a folder of the same layout."""
    with (data / "meta" / "esc50.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    seen: Counter[tuple[str, str]] = Counter()
    kept = []
    for row in rows:
        kind = (row["fold"], row["category"])
        seen[kind] += 1
        if seen[kind] == 1 and row["esc10"] == "True":
            kept.append(row)
    (folder / "meta").mkdir(parents=True)
    (folder / "audio").mkdir()
    for row in kept:
        shutil.copy(data / "audio" / row["filename"], folder / "audio")
    with (folder / "meta" / "esc50.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(kept)
    return folder


if __name__ == "__main__":
    main()
