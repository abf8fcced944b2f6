"""What does it cost beside the step? One interleaved run of whole trainings: checkpoints, tracking, EMA, augmentation.

    python benchmarks/train_overheads.py [--model NAME] [--rounds N] [--steps N] [--quick]

Each arm is the real loop with the real run folder on generated sounds, in one process with two workers. Measured is the
time from one batch to another `--steps` later, so that start and evaluation are left out. The arms follow each other in
every round, each ratio is taken within its round. At the end: how long a fresh start, and one that goes on after four
epochs, take to their first step.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from pannsdist import settings
from pannsdist.runtime import console, cpu
from pannsdist.runtime.errors import UserError

if TYPE_CHECKING:
    from pannsdist.contracts.batch import Batch

PLAIN = ("log.every_steps=1000000",)
ARMS: dict[str, tuple[str, ...]] = {
    "plain": PLAIN,
    "plain again": PLAIN,
    "checkpoint each 50 steps": (*PLAIN, "save.every_steps=50"),
    "tracking each 10 steps": ("log.every_steps=10",),
    "EMA": (*PLAIN, "train.ema_decay=0.999"),
    "augmentation in workers": (*PLAIN, "augment.gain.probability=1"),
}
"""The first is what the ratios are relative to; the second shows how much of a ratio is noise."""
BEFORE = 25
"""Steps before the measured ones: with checkpoints each 50 steps, each is written within what is measured."""
CONFIG = """\
data: {{name: tones, workers: 2, params: {{clips_per_class: 64, valid_clips_per_class: 1}}}}
model: {{name: {model}}}
train: {{epochs: 1000, batch_size: 8, crop_s: 1.0}}
"""


def main() -> None:
    """Run the arms in rounds and print a table, then the two kinds of start."""
    parser = argparse.ArgumentParser(description="What a training costs beside its steps, as ratios.")
    parser.add_argument("--model", default="panns_cnn6", help="model plugin")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100, help="measured steps of each arm in each round")
    parser.add_argument("--quick", action="store_true", help="one round of a few steps, to see that it works")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.steps = 1, 5
    cpu.use_fast_kernels()
    console.quiet_paddle()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(CONFIG.format(model=chosen.model), encoding="utf-8")
        print(f"{chosen.model}: 8 clips of 1 s a step; rounds: {chosen.rounds}, steps of each: {chosen.steps}\n")
        print("\n".join(table(measure(config, chosen.rounds, chosen.steps))), flush=True)
        print("\n".join(starts(config, chosen.rounds)), flush=True)


def measure(config: Path, rounds: int, steps: int) -> dict[str, list[float]]:
    """Seconds of a step of each arm, one value a round. Arms whose settings are not known are left out, and named."""
    known = {}
    for name, overrides in ARMS.items():
        try:
            settings.load(config, overrides)
            known[name] = overrides
        except UserError as error:
            say(f"left out: {name}: {error.wrong}")
    seconds: dict[str, list[float]] = {name: [] for name in known}
    for number in range(1, rounds + 1):
        for name, overrides in known.items():
            seconds[name].append(step_seconds(config, overrides, steps))
            say(f"  round {number}/{rounds}  {name}: {seconds[name][-1]:.3f} s a step")
    return seconds


def step_seconds(config: Path, overrides: Sequence[str], steps: int) -> float:
    """Train as train.py does, in this process, for so many steps and some before them; the mean seconds of a step."""
    from pannsdist.audio.loader import Loader
    from pannsdist.distributed.fleet import connect
    from pannsdist.registry import Catalog
    from pannsdist.run import building
    from pannsdist.run.folder import RunFolder
    from pannsdist.run.planning.decide import decide
    from pannsdist.training.fit_context import TrainingData

    with tempfile.TemporaryDirectory() as runs:
        given = [*overrides, f"runs={runs}", f"train.max_steps={BEFORE + steps + 1}"]
        chosen, source = settings.load(config, given)
        plan = decide(chosen, source, Catalog.installed(), 1)
        folder, network, world = RunFolder.open(chosen, plan.data.labels), building.build_network(plan), connect()
        loader = Loader(chosen.data.workers)
        parts = building.build_parts(plan, world, network, loader)
        progress = parts.trainer.restore(None)
        asked: list[float] = []
        data = TrainingData(lambda epoch, first: noted(parts.data.batches(epoch, first), asked), parts.data.steps)
        with (
            redirect_stdout(io.StringIO()),
            building.opened_results(plan, world, network, folder, progress) as (sinks, _),
        ):
            parts.trainer.fit(progress, data, parts.split, sinks)
        loader.close()
    return (asked[BEFORE + steps] - asked[BEFORE]) / steps


def noted(batches: Iterable[Batch], asked: list[float]) -> Iterator[Batch]:
    """The batches; when each was asked for is added to `asked`."""
    remaining = iter(batches)
    while True:
        asked.append(time.perf_counter())
        try:
            batch = next(remaining)
        except StopIteration:
            asked.pop()
            return
        yield batch


def table(seconds: dict[str, list[float]]) -> Iterable[str]:
    """A Markdown table: seconds of a step, and the median over the rounds of the ratio to the first arm."""
    yield "| arm | s a step, median (min-max) | ratio to the first arm, median of the rounds (min-max) |"
    yield "|---|---|---|"
    first = next(iter(seconds.values()))
    for name, values in seconds.items():
        ratios = [value / base for value, base in zip(values, first, strict=True)]
        yield f"| {name} | {spread(values)} | {spread(ratios)} |"


def starts(config: Path, rounds: int) -> Iterable[str]:
    """How long each kind of start takes to its first step."""
    few = ("data.params.clips_per_class=8", "log.every_steps=1")
    with tempfile.TemporaryDirectory() as folder:
        overrides = (*few, f"runs={folder}", "name=stopped", "train.epochs=4")
        for _ in run_lines(config, overrides):
            pass
        fresh, again = [], []
        for number in range(1, rounds + 1):
            fresh.append(first_step_seconds(config, (*few, f"runs={folder}", f"name=fresh_{number}")))
            again.append(first_step_seconds(config, (*overrides[:-1], "train.epochs=1000")))
            say(f"  round {number}/{rounds}  first step after {fresh[-1]:.2f} s, going on {again[-1]:.2f} s")
    later = [one - other for one, other in zip(again, fresh, strict=True)]
    yield f"\nfirst step of a fresh start: after {spread(fresh)} s"
    yield f"first step of a run that goes on after four epochs: {spread(later)} s later"


def first_step_seconds(config: Path, overrides: Sequence[str]) -> float:
    """From the start of the process to the line of its first step; it is ended there."""
    start = time.perf_counter()
    for line in run_lines(config, overrides):
        if line.startswith("epoch "):
            return time.perf_counter() - start
    raise SystemExit("the training ended before its first step")


def run_lines(config: Path, overrides: Sequence[str]) -> Iterator[str]:
    """What a training says, line by line; it is killed where nobody reads on."""
    script = Path(__file__).resolve().parents[1] / "pannsdist" / "train.py"
    command = [sys.executable, str(script), "-c", str(config), *overrides]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        yield from process.stdout or ()
    finally:
        process.kill()
        process.wait()


def spread(values: Sequence[float]) -> str:
    """`median (min-max)`."""
    return f"{median(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def say(text: str) -> None:
    """Progress, beside the table."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
