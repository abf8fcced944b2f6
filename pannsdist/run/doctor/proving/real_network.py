"""Training steps of a real network on generated sounds, read by worker processes as in a run."""

from __future__ import annotations

from collections.abc import Iterator

import paddle

from pannsdist.audio.batches import Shard, TrainingPlan, clip_table
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.loader import Loader
from pannsdist.audio.workers.count import AUTO, worker_count
from pannsdist.contracts.batch import Batch
from pannsdist.contracts.network import Network
from pannsdist.distributed.world import World
from pannsdist.registry import Catalog
from pannsdist.runtime import devices, launcher, seeding
from pannsdist.training.optimization.losses import TrainingLoss
from pannsdist.training.optimization.optimizers import build_optimizer
from pannsdist.training.optimization.schedules import Schedule
from pannsdist.training.train_step import Learner

CROP_S, RATE, SEED, CLIPS_OF_CLASS = 5.0, 1e-4, 0, 64


class RealTraining:
    """A model plugin with random weights, in float32. All processes must build one and call `step`."""

    def __init__(self, world: World, model: str, clips_of_each: int, steps: int) -> None:
        self._world, self._steps = world, steps
        self._clips = clips_of_each * world.size
        catalog = Catalog.installed()
        chosen = catalog.models.find(model).load()
        feature_class = catalog.features.find(chosen.feature).load()
        feature = feature_class(feature_class.Params(**chosen.feature_params))
        rate_hz = feature.front_end.sample_rate_hz
        tones = catalog.datasets.find("tones").load()
        data = tones(tones.Params(clips_per_class=CLIPS_OF_CLASS, sample_rate_hz=rate_hz))
        table = clip_table(list(data.clips("train")), list(data.labels), False)
        self._plan = TrainingPlan(table, self._clips, SEED, ClipReader(rate_hz, round(CROP_S * rate_hz)))
        paddle.seed(seeding.initial_seed(SEED))
        network = Network(feature.build(), chosen(chosen.Params()).build(list(data.labels), feature.front_end))
        network.train()
        optimizer = build_optimizer("AdamW", {}, RATE, network.model)
        loss = TrainingLoss(multi_label=False)
        self._learner = Learner(world, network, loss, optimizer, Schedule("constant", RATE, steps))
        processes = -(-world.size // launcher.nodes())
        self._loader = Loader(worker_count(AUTO, processes, world.device != devices.CPU))

    def batches(self) -> Iterator[Batch]:
        """This process's batches, one for each step, over as many epochs as that takes."""
        shard = Shard(self._world.rank, self._world.size)
        epochs = range(1, -(-self._steps // self._plan.steps) + 1)
        yield from self._loader.read(request for epoch in epochs for request in self._plan.requests(epoch, shard))

    def step(self, batch: Batch, number: int) -> None:
        """One step to its end on all processes."""
        self._world.all_reduce_sum(float(self._learner.step(batch, number, self._clips, SEED).loss))

    def memory_mib(self) -> float | None:
        """The most memory of the GPU that was in use; None on a CPU."""
        if self._world.device == "cpu":
            return None
        return float(paddle.device.cuda.max_memory_allocated()) / (1 << 20)

    def close(self) -> None:
        """End the worker processes."""
        self._loader.close()
