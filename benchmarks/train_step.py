"""Speed of a training step: one or two processes, with and without the MKL switch, interleaved in fresh processes.

    python benchmarks/train_step.py [--models NAME ...] [--rounds N] [--steps N] [--quick]

Each arm is started by Paddle's launcher, makes one warm-up step and then `--steps` measured steps with the package's
Network, Learner and World on noise in memory, so that only the step is measured. The arms alternate within each round.
Absolute numbers depend on the machine and its load; the ratios are comparable.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from pannsdist.runtime.cpu import MKL_SWITCH

if TYPE_CHECKING:
    from pannsdist.contracts.batch import Batch
    from pannsdist.distributed.world import World
    from pannsdist.training.train_step import Learner

STEPS = {"panns_cnn10": 1, "efficientat_mn04": 10}
"""Measured steps per arm and round: a few seconds per model on one or two cores."""
CLIPS, CLIP_S, CLASSES = 8, 5.0, 50


@dataclass(frozen=True)
class Arm:
    """A configuration of processes, MKL switch and threads."""

    processes: int
    switch: bool
    threads: int = 1

    def __str__(self) -> str:
        processes = f"{self.processes} process" + ("es" if self.processes > 1 else "")
        threads = f", OMP_NUM_THREADS={self.threads}" if self.threads > 1 else ""
        return f"{processes}, {'with' if self.switch else 'without'} switch{threads}"

    def environment(self) -> dict[str, str]:
        """The environment variables of the arm's processes."""
        environment = {name: value for name, value in os.environ.items() if name != MKL_SWITCH}
        switch = {MKL_SWITCH: "5"} if self.switch else {}
        return {**environment, **switch, "OMP_NUM_THREADS": str(self.threads)}


ARMS = (Arm(1, False), Arm(1, True), Arm(1, True, threads=2), Arm(2, False), Arm(2, True))
"""Ratios are relative to the first arm."""


def main() -> None:
    """Run the arms in rounds and print a table; with `--worker`, run one process of an arm."""
    parser = argparse.ArgumentParser(description="Speed of training steps, as ratios from one interleaved run.")
    parser.add_argument("--models", nargs="+", default=list(STEPS), metavar="NAME", help="model plugins")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all arms")
    parser.add_argument("--steps", type=int, help="measured steps per arm and round")
    parser.add_argument("--quick", action="store_true", help="one round of one step, as a smoke test")
    parser.add_argument("--worker", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds = chosen.steps = 1
    if chosen.worker:
        work(chosen.models[0], chosen.steps, chosen.worker)
        return
    for model in chosen.models:
        steps = chosen.steps or STEPS.get(model, 3)
        print(f"\n{model}: {CLIPS} clips of {CLIP_S:g} s per step; rounds: {chosen.rounds}, steps per arm: {steps}\n")
        print("\n".join(table(measure(model, chosen.rounds, steps))), flush=True)


def measure(model: str, rounds: int, steps: int) -> dict[Arm, list[float]]:
    """Clips per second of each arm, one value per round."""
    speeds: dict[Arm, list[float]] = {arm: [] for arm in ARMS}
    for number in range(1, rounds + 1):
        for arm in ARMS:
            speeds[arm].append(CLIPS / median(step_seconds(arm, model, steps)))
            say(f"  round {number}/{rounds}  {arm}: {speeds[arm][-1]:.2f} clips/s")
    return speeds


def step_seconds(arm: Arm, model: str, steps: int) -> list[float]:
    """Run an arm's processes through the launcher; returns the seconds of each measured step on rank 0.

    Raises SystemExit with the output of the processes if they fail.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "steps.json"
        launcher = [sys.executable, "-m", "paddle.distributed.launch", f"--nproc_per_node={arm.processes}"]
        script = [__file__, "--worker", str(result), "--models", model, "--steps", str(steps)]
        command = [*launcher, "--log_dir", str(Path(folder) / "log"), *script]
        done = subprocess.run(command, env=arm.environment(), capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            raise SystemExit(f"{arm} failed with code {done.returncode}\n{done.stdout}{done.stderr}")
        return list(json.loads(result.read_text(encoding="utf-8")))


def table(speeds: dict[Arm, list[float]]) -> Iterable[str]:
    """A Markdown table: clips per second, and the median over the rounds of the ratio to the first arm."""
    yield "| arm | clips/s, median (min-max) | ratio to the first arm, median of the rounds (min-max) |"
    yield "|---|---|---|"
    first = next(iter(speeds.values()))
    for arm, values in speeds.items():
        ratios = [value / base for value, base in zip(values, first, strict=True)]
        yield f"| {arm} | {spread(values)} | {spread(ratios)} |"


def spread(values: Sequence[float]) -> str:
    """`median (min-max)`."""
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def say(text: str) -> None:
    """Print progress to standard error."""
    print(text, file=sys.stderr, flush=True)


def work(model_name: str, steps: int, result: Path) -> None:
    """Run one process of an arm; rank 0 writes the seconds of each measured step.

    A step ends when its loss is on the host: on a CPU, backward pass and update are finished then in all processes.
    """
    from pannsdist.distributed import fleet

    world = fleet.connect()
    learner, batch = build(world, model_name, CLIPS // world.size, CLIP_S)
    seconds = []
    for step in range(1, steps + 2):
        start = time.perf_counter()
        world.all_reduce_sum(float(learner.step(batch, step, CLIPS, seed=0).loss))
        seconds.append(time.perf_counter() - start)
    if world.is_main:
        result.write_text(json.dumps(seconds[1:]), encoding="utf-8")
    world.close()


def build(world: World, model_name: str, clips: int, clip_s: float) -> tuple[Learner, Batch]:
    """A learner with random weights, and `clips` clips of noise for this process. All processes must call this."""
    import numpy as np
    import paddle

    from pannsdist.contracts.batch import Batch
    from pannsdist.contracts.network import Network
    from pannsdist.registry import Catalog
    from pannsdist.runtime import seeding
    from pannsdist.training.optimization.losses import TrainingLoss
    from pannsdist.training.optimization.optimizers import build_optimizer
    from pannsdist.training.optimization.schedules import Schedule
    from pannsdist.training.train_step import Learner

    catalog = Catalog.installed()
    model_class = catalog.models.find(model_name).load()
    feature_class = catalog.features.find(model_class.feature).load()
    feature = feature_class(feature_class.Params(**model_class.feature_params))
    paddle.seed(seeding.initial_seed(0))
    labels = [f"class-{number}" for number in range(CLASSES)]
    model = model_class(model_class.Params()).build(labels, feature.front_end)
    network = Network(feature.build(), model)
    network.train()
    optimizer = build_optimizer("AdamW", {}, 1e-4, network.model)
    learner = Learner(
        world, network, TrainingLoss(multi_label=False), optimizer, Schedule("constant", 1e-4, total_steps=1)
    )

    samples = round(clip_s * feature.front_end.sample_rate_hz)
    random = np.random.default_rng(world.rank)
    waveforms = random.uniform(-0.5, 0.5, (clips, samples)).astype(np.float32)
    ids = tuple(f"noise-{world.rank}-{number}" for number in range(clips))
    return learner, Batch(ids, waveforms, random.integers(0, CLASSES, clips))


if __name__ == "__main__":
    main()
