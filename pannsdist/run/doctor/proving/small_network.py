"""A small network, its batches and its training, for claims that do not depend on the size of a network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import paddle
from paddle import nn

from pannsdist.audio.batches import Shard
from pannsdist.contracts.batch import Batch
from pannsdist.contracts.network import Network
from pannsdist.distributed.world import World
from pannsdist.registry import Catalog
from pannsdist.runtime import seeding
from pannsdist.training.optimization.freezing import Freezing, Stage, stages_of
from pannsdist.training.optimization.losses import TrainingLoss
from pannsdist.training.optimization.optimizers import build_optimizer
from pannsdist.training.optimization.recomputing import enable_recompute
from pannsdist.training.optimization.schedules import Schedule
from pannsdist.training.train_step import Learner, StepOptions

STEPS, BATCH_OF_EACH, CLASSES, BINS, RATE_HZ, SAMPLES = 20, 2, 4, 32, 8000, 4000
SEED, RATE = 7, 0.05
FEATURE = {"sample_rate_hz": RATE_HZ, "window_samples": 256, "hop_samples": 128, "fft_samples": 256}
_KEPT: list[Learner] = []
"""Wrapped layers stay alive: Paddle 3.3.1 may crash where one is dropped before the next is made."""


class SmallModel(nn.Layer):
    """Image (B, 1, T, F) -> logits (B, C), with batch norm only if wanted, without dropout."""

    def __init__(self, has_norm: bool) -> None:
        super().__init__()
        norm = [nn.BatchNorm2D(8)] if has_norm else []
        self.body = nn.Sequential(nn.Conv2D(1, 8, 3, stride=2), *norm, nn.ReLU())
        self.head = nn.Linear(8, CLASSES)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """Mean over time and frequency of the body, then the head."""
        return self.head(self.body(0.02 * (image + 50.0)).mean(axis=[2, 3]))


@dataclass(frozen=True)
class Kind:
    """How a small training differs from the plain one."""

    amp: str = "none"
    has_norm: bool = False
    recomputes: bool = False
    freezes: bool = False


class Training:
    """A small training on all processes, from the same weights each time. All processes must call its methods."""

    def __init__(self, world: World, batch_size: int, kind: Kind | None = None) -> None:
        self.world, self.batch_size, self.kind = world, batch_size, kind or Kind()
        self.network = self._network()
        optimizer = build_optimizer("AdamW", {}, 0.1 * RATE, self.network.model)
        stages = stages_of(self.network.model, "head")
        frozen: tuple[Stage, ...] = tuple(stages[:1]) if self.kind.freezes else ()
        options = StepOptions(amp=self.kind.amp, freezing=Freezing(self.network.model, stages, frozen, 2))
        loss, schedule = TrainingLoss(multi_label=False), Schedule("constant", 0.1 * RATE, STEPS)
        self.learner = Learner(world, self.network, loss, optimizer, schedule, options=options)
        _KEPT.append(self.learner)

    def _network(self) -> Network:
        paddle.seed(seeding.initial_seed(SEED))
        plugin = Catalog.installed().features.find("logmel").load()
        params = plugin.Params(**FEATURE, mel_bins=BINS, high_hz=RATE_HZ / 2)
        network = Network(plugin(params).build(), SmallModel(self.kind.has_norm))
        network.train()
        if self.kind.has_norm:
            network.model = self.world.convert_sync_batchnorm(network.model)
        if self.kind.recomputes:
            enable_recompute(network.model, stages_of(network.model, "head"))
        return network

    def steps(self, first: int = 1, last: int = STEPS) -> list[float]:
        """The loss of each step from `first` to `last`, the mean over the clips of all processes."""
        return [self.step(number, batch)[0] for number, batch in self._batches(first, last)]

    def step(self, number: int, batch: Batch) -> tuple[float, bool]:
        """The loss of a step, and whether it was finite."""
        outcome = self.learner.step(batch, number, self.batch_size, SEED)
        (loss,) = self.world.all_reduce_sum(float(outcome.loss))
        return loss / self.batch_size, outcome.finite

    def _batches(self, first: int, last: int) -> Iterator[tuple[int, Batch]]:
        yield from ((number, self.batch(number)) for number in range(first, last + 1))

    def batch(self, number: int) -> Batch:
        """This process's rows of a global batch of tones in noise, whose pitch is their class."""
        random = np.random.default_rng([SEED, number % 4])
        targets = random.integers(0, CLASSES, self.batch_size)
        time_s = np.arange(SAMPLES) / RATE_HZ
        tones = np.sin(2 * np.pi * (300.0 * 2 ** targets[:, None]) * time_s)
        waveforms = (0.3 * tones + 0.05 * random.standard_normal(tones.shape)).astype(np.float32)
        rows = Shard(self.world.rank, self.world.size).of_batch(self.batch_size)
        ids = tuple(f"{number}-{row}" for row in range(self.batch_size))
        return Batch(ids[rows], waveforms[rows], targets[rows])

    def arrays(self) -> dict[str, np.ndarray]:
        """A copy of the weights on the host."""
        return self.network.arrays()

    def all_equal(self, chosen: Callable[[str], bool] = lambda _: True) -> bool:
        """Whether all processes hold the same bits in the weights of these names."""
        digest = hashlib.sha256()
        for name, array in sorted(self.arrays().items()):
            if chosen(name):
                digest.update(np.ascontiguousarray(array).tobytes())
        return len(set(self.world.all_gather(digest.hexdigest()))) == 1
