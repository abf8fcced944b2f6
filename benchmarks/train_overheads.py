"""Overhead of checkpoints, tracking, EMA and augmentation, measured in interleaved training runs.

    python benchmarks/train_overheads.py [--model NAME] [--rounds N] [--steps N] [--quick]

Each arm trains with the real loop and run folder on generated clips, in one process with two workers. Measured is the
time from one batch to another `--steps` later, without start-up and evaluation. The arms alternate within each round,
and ratios are taken per round. At the end: time to the first step of a new run, and of one resumed after four epochs.
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
"""Ratios are relative to the first arm; the second shows the noise of a ratio."""
BEFORE = 25
"""Warm-up steps; with a checkpoint every 50 steps, each checkpoint falls into the measured steps."""
CONFIG = """\
data: {{name: tones, workers: 2, params: {{clips_per_class: 64, valid_clips_per_class: 1}}}}
model: {{name: {model}}}
train: {{epochs: 1000, batch_size: 8, crop_s: 1.0}}
"""


def main() -> None:
    """Run the arms in rounds and print a table, then the start-up times."""
    parser = argparse.ArgumentParser(description="Overheads of training, as ratios from interleaved runs.")
    parser.add_argument("--model", default="panns_cnn6", help="model plugin")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all arms")
    parser.add_argument("--steps", type=int, default=100, help="measured steps per arm and round")
    parser.add_argument("--quick", action="store_true", help="one round of a few steps, as a smoke test")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.steps = 1, 5
    cpu.use_fast_kernels()
    console.quiet_paddle()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(CONFIG.format(model=chosen.model), encoding="utf-8")
        print(f"{chosen.model}: 8 clips of 1 s per step; rounds: {chosen.rounds}, steps per arm: {chosen.steps}\n")
        print("\n".join(table(measure(config, chosen.rounds, chosen.steps))), flush=True)
        print("\n".join(starts(config, chosen.rounds)), flush=True)


def measure(config: Path, rounds: int, steps: int) -> dict[str, list[float]]:
    """Seconds per step of each arm, one value per round. Arms with unknown settings are skipped, with a message."""
    known = {}
    for name, overrides in ARMS.items():
        try:
            settings.load(config, overrides)
            known[name] = overrides
        except UserError as error:
            say(f"skipped: {name}: {error.wrong}")
    seconds: dict[str, list[float]] = {name: [] for name in known}
    for number in range(1, rounds + 1):
        for name, overrides in known.items():
            seconds[name].append(step_seconds(config, overrides, steps))
            say(f"  round {number}/{rounds}  {name}: {seconds[name][-1]:.3f} s per step")
    return seconds


def step_seconds(config: Path, overrides: Sequence[str], steps: int) -> float:
    """Train in this process as train.py does, with warm-up steps; returns the mean seconds per measured step."""
    from pannsdist.audio.loader import Loader
    from pannsdist.distributed.fleet import connect
    from pannsdist.registry import Catalog
    from pannsdist.run import building
    from pannsdist.run.data_record import data_record
    from pannsdist.run.folder import RunFolder
    from pannsdist.run.planning.decide import decide
    from pannsdist.training.fit_context import TrainingData

    with tempfile.TemporaryDirectory() as runs:
        given = [*overrides, f"runs={runs}", f"train.max_steps={BEFORE + steps + 1}"]
        chosen, origin = settings.load(config, given)
        plan = decide(chosen, origin, Catalog.installed(), 1)
        folder = RunFolder.open(chosen, data_record(plan.data))
        network, world = building.build_network(plan), connect()
        loader = Loader(chosen.data.workers)
        parts = building.build_parts(plan, world, network, loader)
        progress = parts.trainer.restore(None)
        requested_s: list[float] = []
        data = TrainingData(lambda epoch, first: timed(parts.data.batches(epoch, first), requested_s), parts.data.steps)
        with (
            redirect_stdout(io.StringIO()),
            building.opened_results(plan, world, network, folder, progress) as (sinks, _),
        ):
            parts.trainer.fit(progress, data, parts.split, sinks)
        loader.close()
    return (requested_s[BEFORE + steps] - requested_s[BEFORE]) / steps


def timed(batches: Iterable[Batch], requested_s: list[float]) -> Iterator[Batch]:
    """The batches; the time of each request is appended to `requested_s`."""
    remaining = iter(batches)
    while True:
        requested_s.append(time.perf_counter())
        try:
            batch = next(remaining)
        except StopIteration:
            requested_s.pop()
            return
        yield batch


def table(seconds: dict[str, list[float]]) -> Iterable[str]:
    """A Markdown table: seconds per step, and the median over the rounds of the ratio to the first arm."""
    yield "| arm | s per step, median (min-max) | ratio to the first arm, median of the rounds (min-max) |"
    yield "|---|---|---|"
    first = next(iter(seconds.values()))
    for name, values in seconds.items():
        ratios = [value / base for value, base in zip(values, first, strict=True)]
        yield f"| {name} | {spread(values)} | {spread(ratios)} |"


def starts(config: Path, rounds: int) -> Iterable[str]:
    """Time to the first step of a new and of a resumed run."""
    few = ("data.params.clips_per_class=8", "log.every_steps=1")
    with tempfile.TemporaryDirectory() as folder:
        overrides = (*few, f"runs={folder}", "name=stopped", "train.epochs=4")
        for _ in run_lines(config, overrides):
            pass
        fresh, resumed = [], []
        for number in range(1, rounds + 1):
            fresh.append(first_step_seconds(config, (*few, f"runs={folder}", f"name=fresh_{number}")))
            resumed.append(first_step_seconds(config, (*overrides[:-1], "train.epochs=1000")))
            say(f"  round {number}/{rounds}  first step after {fresh[-1]:.2f} s, resumed {resumed[-1]:.2f} s")
    later = [one - other for one, other in zip(resumed, fresh, strict=True)]
    yield f"\ntime to the first step of a new run: {spread(fresh)} s"
    yield f"additional time of a run resumed after four epochs: {spread(later)} s"


def first_step_seconds(config: Path, overrides: Sequence[str]) -> float:
    """Seconds from the start of a training process to its first step; then it is killed."""
    start = time.perf_counter()
    for line in run_lines(config, overrides):
        if line.startswith("epoch "):
            return time.perf_counter() - start
    raise SystemExit("the training ended before its first step")


def run_lines(config: Path, overrides: Sequence[str]) -> Iterator[str]:
    """The output lines of a training process; it is killed when the iterator is closed."""
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
    """Print progress to standard error."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
