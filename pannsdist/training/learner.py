"""One optimizer step, the same in every process."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import paddle

from pannsdist import seeding
from pannsdist.batch import Batch
from pannsdist.network import Network
from pannsdist.parallel import World
from pannsdist.training.optim import Schedule, optimizer_arrays, restore_optimizer

Loss = Callable[[paddle.Tensor, paddle.Tensor], paddle.Tensor]


@dataclass(frozen=True)
class StepOutcome:
    """What a step came to: this process's sum of losses, left on the device.

    Where the loss is not finite in every process, the step was taken in none.
    """

    loss: paddle.Tensor
    gradient_norm: float | None = None
    finite: bool = True


class Learner:
    """A network, its loss and its optimizer, wrapped so that a step averages gradients over all processes.

    Built by every process; the weights of rank 0 are those that count.
    """

    def __init__(
        self, world: World, network: Network, loss: Loss, optimizer: paddle.optimizer.Optimizer, schedule: Schedule
    ) -> None:
        self.network, self.optimizer, self.schedule = network, optimizer, schedule
        self._world, self._loss = world, loss
        self._wrapped = world.wrap(network)
        self._stepper = world.wrap_optimizer(optimizer)

    def step(self, batch: Batch, step: int, all_clips: int, seed: int) -> StepOutcome:
        """One step on this process's part of a batch of `all_clips` clips.

        Every process. What is drawn on the device depends on (seed, step, rank) only. The gradient is that of the mean
        over all clips of all processes, however many of them could be read here.
        """
        paddle.seed(seeding.step_seed(seed, step, self._world.rank))
        waveforms, targets, weight = batch.waveforms, batch.targets, 1.0
        draws = {name: paddle.to_tensor(array) for name, array in batch.draws.items() if len(array)}
        if len(waveforms) == 0:  # every clip of this part was bad: one silent clip that counts nothing keeps in step
            waveforms = np.zeros((1, waveforms.shape[1]), np.float32)
            targets, weight = np.zeros((1, *targets.shape[1:]), targets.dtype), 0.0
        logits = self._wrapped(paddle.to_tensor(waveforms), **draws)
        total = self._loss(logits, paddle.to_tensor(targets)).sum() * weight
        (total * (self._world.size / all_clips)).backward()
        finite = self._world.total(float(not math.isfinite(total.item())))[0] == 0
        if finite:
            self.optimizer.set_lr(self.schedule.rate(step))
            self._stepper.step()
        self._stepper.clear_grad()
        return StepOutcome(total.detach(), finite=finite)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Within the block the network holds the weights that are evaluated and shipped. Every process."""
        yield

    def state(self) -> dict[str, np.ndarray]:
        """Everything beside the network's own weights that the next step depends on, copied to the host."""
        return optimizer_arrays(self.optimizer, self.network.model)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put back what `state` gave. Raises BadRunFolder where it belongs to another optimizer or network."""
        restore_optimizer(self.optimizer, self.network.model, arrays)
