"""Speed of a training step: kernels, precision, processes and threads, interleaved in fresh processes.

    python benchmarks/train_step.py [--models NAME ...] [--rounds N] [--steps N] [--peers PYTHON] [--quick]

Each arm is started by Paddle's launcher, makes two warm-up steps and then `--steps` measured steps with the package's
Network, Learner and World on noise in memory, so that only the step is measured. The arms alternate within each round.
With `--peers`, a Python that has PyTorch and torchlibrosa, `torch_step.py` measures the same network of PANNs there.
Absolute numbers depend on the machine and its load; the ratios are comparable.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from measuring import Table, interleave, parser, present

from pannsdist.runtime.cpu import MKL_SWITCH, is_amd

if TYPE_CHECKING:
    from pannsdist.contracts.batch import Batch
    from pannsdist.distributed.world import World
    from pannsdist.training.train_step import Learner

CLASSES = 50


@dataclass(frozen=True)
class Work:
    """A step of all processes together: clips of noise through a model; `steps` are measured."""

    model: str
    steps: int
    clips: int = 8
    clip_s: float = 5.0


STEPS = {"panns_cnn10": 3, "efficientat_mn04": 10}
"""Measured steps per arm and round."""
WARM_UP = 2
"""Steps before: the memory of a process still grows in the second one."""
QUICK = Work("panns_cnn6", steps=1, clips=2, clip_s=0.5)


@dataclass(frozen=True)
class Arm:
    """A configuration of kernels, precision, processes and threads; `switch`: MKL's, for AMD processors."""

    kernels: str
    processes: int = 1
    threads: int = 1
    amp: str = "none"
    switch: bool = True

    def __str__(self) -> str:
        processes = f"{self.processes} process" + ("es" if self.processes > 1 else "")
        threads = f", {self.threads} threads" if self.threads > 1 else ""
        precision = "" if self.amp == "none" else f", {self.amp}"
        return f"{self.kernels}{precision}, {processes}{threads}{'' if self.switch else ', without MKL switch'}"

    def environment(self) -> dict[str, str]:
        """The environment variables of the arm's processes."""
        environment = {name: value for name, value in os.environ.items() if name != MKL_SWITCH}
        switch = {MKL_SWITCH: "5"} if self.switch and is_amd() else {}
        return {**environment, **switch, "OMP_NUM_THREADS": str(self.threads)}


PADDLE = Arm("paddle")
ARMS = (
    PADDLE,
    *((Arm("paddle", switch=False),) if is_amd() else ()),
    Arm("paddle", 2),
    Arm("onednn"),
    Arm("onednn", threads=2),
    Arm("onednn", 2),
    Arm("onednn", threads=2, amp="bf16"),
    Arm("onednn", 2, amp="bf16"),
)
OURS = {str(arm): arm for arm in ARMS}
PEERS = {
    f"PyTorch, 2 threads{text}": words
    for text, words in {
        "": (),
        ", channels last": ("--channels-last",),
        ", bf16": ("--bf16",),
        ", bf16, channels last": ("--bf16", "--channels-last"),
    }.items()
}
"""Arguments of torch_step.py."""


def main() -> None:
    """Run the arms in rounds and print a table per model; with `--worker`, run one process of an arm."""
    arguments = parser("Speed of training steps, as ratios from one interleaved run.")
    arguments.add_argument("--models", nargs="+", default=list(STEPS), metavar="NAME", help="model plugins")
    arguments.add_argument("--steps", type=int, help="measured steps per arm and round")
    arguments.add_argument("--peers", type=Path, metavar="PYTHON", help="a Python with PyTorch and torchlibrosa")
    arguments.add_argument("--worker", nargs=3, metavar=("WORK", "ARM", "FILE"), help="of this program alone")
    chosen = arguments.parse_args()
    if chosen.worker:
        task, arm, file = chosen.worker
        work(Work(**json.loads(task)), Arm(**json.loads(arm)), Path(file))
        return
    works = [Work(model, chosen.steps or STEPS.get(model, 3)) for model in chosen.models]
    arms = [*OURS]
    if chosen.quick:
        works, arms, chosen.rounds = [QUICK], [str(PADDLE), str(Arm("onednn", 2))], 1
    present([measure(one, arms, chosen.rounds, chosen.peers) for one in works], chosen.json)


def measure(task: Work, arms: list[str], rounds: int, peers: Path | None) -> Table:
    """Clips per second of each arm."""
    theirs = peers_of(task.model) if peers else []

    def clips_per_s(name: str) -> float:
        return task.clips / median(step_seconds(OURS[name], task) if name in OURS else torch_seconds(peers, name, task))

    title = f"{task.model}: {task.clips} clips of {task.clip_s:g} s per step; steps per arm and round: {task.steps}"
    return Table(title, "clips/s", interleave([*arms, *theirs], rounds, "clips/s", clips_per_s))


def peers_of(model: str) -> list[str]:
    """The arms of PyTorch, for a network that torch_step.py has."""
    return list(PEERS) if model in ("panns_cnn6", "panns_cnn10") else []


def torch_seconds(python: Path | None, name: str, task: Work) -> list[float]:
    """The seconds of each measured step in PyTorch. Raises SystemExit with its output if it fails."""
    script = [str(python), str(Path(__file__).with_name("torch_step.py")), json.dumps(vars(task)), *PEERS[name]]
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise SystemExit(f"{name} failed with code {done.returncode}\n{done.stdout}{done.stderr}")
    return list(json.loads(done.stdout.splitlines()[-1]))


def step_seconds(arm: Arm, task: Work) -> list[float]:
    """Run an arm's processes through the launcher; returns the seconds of each measured step on rank 0.

    Raises SystemExit with the output of the processes if they fail.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "steps.json"
        launcher = [sys.executable, "-m", "paddle.distributed.launch", f"--nproc_per_node={arm.processes}"]
        script = [__file__, "--worker", json.dumps(vars(task)), json.dumps(vars(arm)), str(result)]
        command = [*launcher, "--log_dir", str(Path(folder) / "log"), *script]
        done = subprocess.run(command, env=arm.environment(), capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            raise SystemExit(f"{arm} failed with code {done.returncode}\n{done.stdout}{done.stderr}")
        return list(json.loads(result.read_text(encoding="utf-8")))


def work(task: Work, arm: Arm, result: Path) -> None:
    """Run one process of an arm; rank 0 writes the seconds of each measured step.

    A step ends when its loss is on the host: on a CPU, backward pass and update are finished then in all processes.
    """
    from pannsdist.distributed import fleet
    from pannsdist.runtime import heap

    heap.keep_freed_memory()
    world = fleet.connect()
    learner, batch = build(world, task.model, task.clips // world.size, task.clip_s, arm)
    seconds = []
    for step in range(1, task.steps + WARM_UP + 1):
        start = time.perf_counter()
        world.all_reduce_sum(float(learner.step(batch, step, task.clips, seed=0).loss))
        seconds.append(time.perf_counter() - start)
    if world.is_main:
        result.write_text(json.dumps(seconds[WARM_UP:]), encoding="utf-8")
    world.close()


def build(world: World, model_name: str, clips: int, clip_s: float, arm: Arm = PADDLE) -> tuple[Learner, Batch]:
    """A learner with random weights, and `clips` clips of noise for this process. All processes must call this."""
    import numpy as np
    import paddle

    from pannsdist.contracts.batch import Batch
    from pannsdist.contracts.network import Network
    from pannsdist.kernels import install
    from pannsdist.kernels.choice import Wanted, choose
    from pannsdist.registry import Catalog
    from pannsdist.runtime import seeding
    from pannsdist.training.optimization.losses import TrainingLoss
    from pannsdist.training.optimization.optimizers import build_optimizer
    from pannsdist.training.optimization.schedules import Schedule
    from pannsdist.training.train_step import Learner, StepOptions

    catalog = Catalog.installed()
    model_class = catalog.models.find(model_name).load()
    feature_class = catalog.features.find(model_class.feature).load()
    feature = feature_class(feature_class.Params(**model_class.feature_params))
    paddle.seed(seeding.initial_seed(0))
    labels = [f"class-{number}" for number in range(CLASSES)]
    model = model_class(model_class.Params()).build(labels, feature.front_end)
    install(model, choose(Wanted(arm.kernels, arm.amp), world.device))
    network = Network(feature.build(), model)
    network.train()
    optimizer = build_optimizer("AdamW", {}, 1e-4, network.model)
    schedule, options = Schedule("constant", 1e-4, total_steps=1), StepOptions(amp=arm.amp)
    learner = Learner(world, network, TrainingLoss(multi_label=False), optimizer, schedule, options=options)

    samples = round(clip_s * feature.front_end.sample_rate_hz)
    random = np.random.default_rng(world.rank)
    waveforms = random.uniform(-0.5, 0.5, (clips, samples)).astype(np.float32)
    ids = tuple(f"noise-{world.rank}-{number}" for number in range(clips))
    return learner, Batch(ids, waveforms, random.integers(0, CLASSES, clips))


if __name__ == "__main__":
    main()
