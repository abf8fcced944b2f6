"""Overhead of checkpoints, tracking, EMA and augmentation, measured in interleaved training runs.

    python benchmarks/train_overheads.py [--model NAME] [--rounds N] [--steps N] [--quick]

Each arm trains with the real loop and run folder on generated clips, in one process with two workers. Measured is the
time from one batch to another `--steps` later, without start-up and evaluation. The arms alternate within each round,
and ratios are taken per round; the first is repeated, which shows the noise. At the end: time to the first step of a
new run, and of one resumed after four epochs.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import Table, interleave, parser, present, say

import pannsdist
from pannsdist import settings
from pannsdist.runtime import console, cpu

if TYPE_CHECKING:
    from pannsdist.contracts.batch import Batch

PLAIN = ("log.every_steps=1000000",)
ARMS: dict[str, tuple[str, ...]] = {
    "plain": PLAIN,
    "checkpoint every 50 steps": (*PLAIN, "save.every_steps=50"),
    "tracking every 10 steps": ("log.every_steps=10",),
    "EMA": (*PLAIN, "train.ema_decay=0.999"),
    "augmentation in workers": (*PLAIN, "augment.gain.probability=1"),
}
BEFORE = 25
"""Warm-up steps; with a checkpoint every 50 steps, each checkpoint falls into the measured steps."""
CONFIG = """\
data: {{name: tones, workers: 2, params: {{clips_per_class: {clips}, valid_clips_per_class: 1}}}}
model: {{name: {model}}}
train: {{epochs: 1000, batch_size: {batch}, crop_s: {crop_s}}}
"""
FULL = {"clips": 64, "batch": 8, "crop_s": 1.0}
QUICK = {"clips": 2, "batch": 2, "crop_s": 0.5}


def main() -> None:
    """Run the arms in rounds and print a table, then the start-up times."""
    arguments = parser("Overheads of training, as ratios from interleaved runs.")
    arguments.add_argument("--model", default="panns_cnn6", help="model plugin")
    arguments.add_argument("--steps", type=int, default=100, help="measured steps per arm and round")
    chosen = arguments.parse_args()
    before = BEFORE
    arms = [*ARMS]
    if chosen.quick:
        chosen.rounds, chosen.steps, before, arms = 1, 2, 1, [arms[0], arms[-1]]
    cpu.use_fast_kernels()
    console.quiet_paddle()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        sizes = QUICK if chosen.quick else FULL
        config.write_text(CONFIG.format(model=chosen.model, **sizes), encoding="utf-8")

        def seconds(arm: str) -> float:
            return step_seconds(config, ARMS[arm], before, chosen.steps)

        size = f"{sizes['batch']} clips of {sizes['crop_s']:g} s per step"
        title = f"{chosen.model}: {size}; steps per arm and round: {chosen.steps}"
        steps = Table(title, "s per step", interleave(arms, chosen.rounds, "s per step", seconds), better="lower")
        present([steps, starts(config, chosen.rounds)], chosen.json)


def step_seconds(config: Path, overrides: Sequence[str], before: int, steps: int) -> float:
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
        given = [*overrides, f"runs={runs}", f"train.max_steps={before + steps + 1}"]
        chosen, origin = settings.load(config, given)
        plan = decide(chosen, origin, Catalog.installed(), 1)
        folder = RunFolder.open(chosen, data_record(plan.data))
        network, world = building.build_network(plan), connect()
        loader = Loader(plan.workers)
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
    return (requested_s[before + steps] - requested_s[before]) / steps


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


def starts(config: Path, rounds: int) -> Table:
    """Time to the first step of a new and of a resumed run."""
    few = ("data.params.clips_per_class=2", "log.every_steps=1")
    with tempfile.TemporaryDirectory() as folder:
        overrides = (*few, f"runs={folder}", "name=stopped", "train.epochs=4")
        for _ in run_lines(config, overrides):
            pass
        fresh, resumed = [], []
        for number in range(1, rounds + 1):
            fresh.append(first_step_seconds(config, (*few, f"runs={folder}", f"name=fresh_{number}")))
            resumed.append(first_step_seconds(config, (*overrides[:-1], "train.epochs=1000")))
            say(f"  round {number}/{rounds}  first step after {fresh[-1]:.2f} s, resumed {resumed[-1]:.2f} s")
    rows = {"new run": fresh, "run resumed after four epochs": resumed}
    return Table("time from the start of the process to the first step", "seconds", rows, better="lower")


def first_step_seconds(config: Path, overrides: Sequence[str]) -> float:
    """Seconds from the start of a training process to its first step; then it is stopped."""
    start = time.perf_counter()
    for line in run_lines(config, overrides):
        if line.startswith("epoch "):
            return time.perf_counter() - start
    raise SystemExit("the training ended before its first step")


def run_lines(config: Path, overrides: Sequence[str]) -> Iterator[str]:
    """The output lines of a training process; it is stopped when the iterator is closed."""
    script = Path(pannsdist.__file__).with_name("train.py")
    command = [sys.executable, str(script), "-c", str(config), *overrides]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        yield from process.stdout or ()
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
