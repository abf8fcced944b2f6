"""A network that is frozen at first and unfrozen later; each rank writes arrays of every step. Arguments: folder.

Run it under the launcher, or alone for what the processes together are compared with.
"""

import sys
from pathlib import Path

import numpy as np

from pannsdist.runtime import console, cpu

cpu.use_fast_kernels()
console.quiet_paddle()

import paddle  # noqa: E402
from paddle import nn  # noqa: E402

from pannsdist.contracts.batch import Batch  # noqa: E402
from pannsdist.contracts.network import Network  # noqa: E402
from pannsdist.distributed import fleet  # noqa: E402
from pannsdist.training.optimization.freezing import (  # noqa: E402
    Freezing,
    apply_lr_factors,
    choose_stages,
    stage_lr_factors,
    stages_of,
)
from pannsdist.training.optimization.losses import TrainingLoss  # noqa: E402
from pannsdist.training.optimization.optimizers import build_optimizer  # noqa: E402
from pannsdist.training.optimization.recomputing import enable_recompute  # noqa: E402
from pannsdist.training.optimization.schedules import Schedule  # noqa: E402
from pannsdist.training.train_step import Learner, StepOptions  # noqa: E402

CLIPS, SAMPLES, BINS, CLASSES = 8, 160, 16, 3
EPOCHS, STEPS, UNFREEZE_EPOCH = 3, 2, 2
KEPT = []
"""Wrapped layers: Paddle 3.3.1 may crash where one is dropped before the next is made."""


class Image(nn.Layer):
    """(B, S) -> (B, 1, T, F)."""

    def forward(self, waveform):
        return waveform.reshape([waveform.shape[0], 1, -1, BINS])


def block(inputs, outputs):
    return nn.Sequential(nn.Conv2D(inputs, outputs, 3, padding=1), nn.BatchNorm2D(outputs), nn.ReLU())


class Three(nn.Layer):
    """Two blocks and a head."""

    def __init__(self):
        super().__init__()
        self.low, self.middle, self.head = block(1, 4), block(4, 8), nn.Linear(8, CLASSES)

    def forward(self, image):
        return self.head(self.middle(self.low(image)).mean(axis=[2, 3]))


class Recording(paddle.optimizer.SGD):
    """SGD, which does not magnify rounding, that keeps the gradients of a step."""

    def step(self):
        self.gradients = {p.name: p.grad.numpy() for p in self._parameter_list if p.grad is not None}
        super().step()


def make(world, optimizer_class=None, recompute=False, **options):
    paddle.seed(world.rank)  # wrapping gives rank 0's weights to all
    network = Network(Image(), Three())
    stages = stages_of(network.model, "head")
    frozen = choose_stages(["low"], stages)
    freezing = Freezing(network.model, stages, frozen, UNFREEZE_EPOCH)
    apply_lr_factors(network.model, stages, stage_lr_factors(stages, 0.5, 2.0))
    if recompute:
        enable_recompute(network.model, stages)
    trainable = [parameter for parameter in network.model.parameters() if not parameter.stop_gradient]
    if optimizer_class:
        optimizer = optimizer_class(learning_rate=0.01, parameters=trainable)
    else:
        optimizer = build_optimizer("AdamW", {}, 0.01, network.model)
    schedule = Schedule("cosine", 0.01, EPOCHS * STEPS, final_lr_factor=0.1)
    learner = Learner(
        world,
        network,
        TrainingLoss(multi_label=False),
        optimizer,
        schedule,
        options=StepOptions(freezing=freezing, **options),
    )
    KEPT.append(learner)
    return learner


def own_part(world, step):
    random = np.random.default_rng(step)
    waveforms = random.normal(size=(CLIPS, SAMPLES)).astype(np.float32)
    targets = random.integers(0, CLASSES, CLIPS)
    own = slice(world.rank * CLIPS // world.size, (world.rank + 1) * CLIPS // world.size)
    return Batch(tuple(map(str, range(CLIPS)))[own], waveforms[own], targets[own])


def gradients(world, **how):
    """The gradients of every step, without the statistics of batches, which each process has of its own clips."""
    learner = make(world, Recording, clip_norm=0.5, **how)
    names = {parameter.name: name for name, parameter in learner.network.model.named_parameters()}
    found = {}
    for epoch in range(1, EPOCHS + 1):
        learner.start_epoch(epoch)
        learner.network.eval()
        for step in range((epoch - 1) * STEPS + 1, epoch * STEPS + 1):
            outcome = learner.step(own_part(world, step), step, CLIPS, seed=0)
            for name, gradient in learner.optimizer.gradients.items():
                if np.any(gradient):
                    found[f"{step}/{names[name]}"] = gradient
            found[f"{step}/norm"] = np.array(outcome.gradient_norm)
    return found


def training(world, stop_after=0):
    """The arrays after every step of a run that trains; stopped after an epoch and continued by new objects."""
    learner = make(world, ema_decay=0.9)
    found = {f"0/{name}": array for name, array in learner.network.arrays().items()}
    for epoch in range(1, EPOCHS + 1):
        learner.start_epoch(epoch)
        learner.network.train()
        for step in range((epoch - 1) * STEPS + 1, epoch * STEPS + 1):
            learner.step(own_part(world, step), step, CLIPS, seed=0)
            found |= {f"{step}/{name}": array for name, array in learner.network.arrays().items()}
        world.sync_statistics(learner.network)
        if epoch == stop_after:
            weights, state = learner.network.arrays(), learner.state()
            learner = make(world, ema_decay=0.9)
            learner.network.restore(weights)
            learner.restore(world.broadcast_arrays(state if world.is_main else None))
    return {**found, **{f"end/{name}": array for name, array in learner.state().items()}}


def poisoned(world):
    """Arrays before and after a step in which the last process alone has an infinite sample, and what steps came to."""
    learner = make(world, ema_decay=0.9)
    learner.network.train()
    learner.step(own_part(world, 1), 1, CLIPS, seed=0)
    moments = {"before": {**learner.network.arrays(), **learner.state()}}
    part = own_part(world, 2)
    if world.rank == world.size - 1:
        part.waveforms[0, :2] = np.inf
    outcome = learner.step(part, 2, CLIPS, seed=0)
    moments["after"] = {**learner.network.arrays(), **learner.state()}
    after = learner.step(own_part(world, 3), 3, CLIPS, seed=0)
    flat = {f"{moment}/{name}": array for moment, arrays in moments.items() for name, array in arrays.items()}
    return {**flat, "finite": np.array([outcome.finite, after.finite])}


def main(folder):
    world = fleet.connect()
    name = f"{world.rank}of{world.size}.npz"
    np.savez(folder / f"gradients.{name}", **gradients(world))
    np.savez(folder / f"accumulated.{name}", **gradients(world, accumulate_steps=2))
    np.savez(folder / f"recomputed.{name}", **gradients(world, recompute=True))
    np.savez(folder / f"poisoned.{name}", **poisoned(world))
    for stop_after in (0, 1, 2):
        np.savez(folder / f"training{stop_after}.{name}", **training(world, stop_after))
    world.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
