"""One optimizer step, the same in every process."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import paddle

from pannsdist.contracts.batch import Batch
from pannsdist.contracts.network import Network
from pannsdist.distributed.world import World
from pannsdist.runtime import seeding
from pannsdist.runtime.errors import BadRunFolder
from pannsdist.training.optimization import gradients
from pannsdist.training.optimization.averaging import EpochMean, MovingAverage
from pannsdist.training.optimization.freezing import Freezing
from pannsdist.training.optimization.optimizers import optimizer_arrays, restore_optimizer
from pannsdist.training.optimization.precision import LossScale, autocast, has_effect

Loss = Callable[[paddle.Tensor, paddle.Tensor], paddle.Tensor]
OPTIMIZER = "optimizer/"


class RateOfStep(Protocol):
    """A learning rate as a function of the step, counted from 1."""

    def rate(self, step: int) -> float:
        """The learning rate of step `step`."""
        ...


@dataclass(frozen=True)
class StepOutcome:
    """What a step came to.

    `loss` is this process's sum, left on the device. `gradient_norm` is that of the gradient of the mean over all
    clips, before it was clipped, and None where it is not finite. `finite` is False where the step was not taken, for a
    loss or a gradient that is not finite; an overflow of half precision, which the scale of the loss mends, does not
    count. Both are the same in every process.
    """

    loss: paddle.Tensor
    gradient_norm: float | None = None
    finite: bool = True


@dataclass(frozen=True)
class StepOptions:
    """How a step is made, beside loss, optimizer and schedule.

    `accumulate` is the number of parts that each process takes its share in, one after another; `clip_norm` the largest
    norm of a gradient; `amp` none, fp16 or bf16; `swa_first_epoch` the first epoch whose end counts in the mean.
    `rate_groups` are shares of the learning rate by name, for reports.
    """

    accumulate_steps: int = 1
    clip_norm: float | None = None
    amp: str = "none"
    ema_decay: float = 0.0
    swa_first_epoch: int | None = None
    freezing: Freezing | None = None
    rate_groups: Mapping[str, float] = field(default_factory=lambda: {"all": 1.0})


class Learner:
    """A network, its loss and its optimizer, wrapped so that a step averages gradients over all processes.

    Built by every process; the weights of rank 0 are those that count.
    """

    def __init__(  # noqa: PLR0913 - what a step is made of
        self,
        world: World,
        network: Network,
        loss: Loss,
        optimizer: paddle.optimizer.Optimizer,
        schedule: RateOfStep,
        *,
        options: StepOptions | None = None,
    ) -> None:
        self.network, self.optimizer, self.schedule = network, optimizer, schedule
        self._world, self._loss, self._options = world, loss, options or StepOptions()
        self._freezing = self._options.freezing or Freezing(network.model)
        self._freezing.begin(1)
        self._wrapped = world.wrap_model(network)
        self._stepper = world.wrap_optimizer(optimizer)
        self._scale = LossScale(self._options.amp == "fp16" and has_effect("fp16", world.device))
        self._parameters: list[paddle.Tensor] = list(optimizer._parameter_list)
        statistics = gradients.running_statistics(network.model)
        self._guard = gradients.Guard(list(statistics.values()))
        self._average = self._averaging(statistics)

    def _averaging(self, statistics: Mapping[str, paddle.Tensor]) -> MovingAverage | EpochMean | None:
        own = {id(parameter) for parameter in self._parameters}
        weights = {name: tensor for name, tensor in self.network.model.named_parameters() if id(tensor) in own}
        if self._options.ema_decay:
            return MovingAverage(weights, self._options.ema_decay)
        if self._options.swa_first_epoch is not None:
            return EpochMean({**weights, **statistics}, self._options.swa_first_epoch)
        return None

    def start_epoch(self, epoch: int) -> None:
        """Freeze and thaw as this epoch has it. Every process, before its first step, and after `restore`."""
        if self._freezing.begin(epoch):
            self._wrapped = self._world.wrap_model(self.network)

    def end_epoch(self, epoch: int) -> None:
        """Take the weights into the mean of the last epochs. Every process, once statistics are synchronised."""
        if isinstance(self._average, EpochMean):
            self._average.update(epoch)

    def step(self, batch: Batch, step: int, all_clips: int, seed: int) -> StepOutcome:
        """One step on this process's part of a batch of `all_clips` clips.

        Every process. What is drawn on the device depends on (seed, step, rank) only. The gradient is that of the mean
        over all clips of all processes, however many of them could be read here. Where it, or a loss, is not finite in
        any process, no process moves: weights, averages, statistics and the optimizer's state are as before.
        """
        paddle.seed(seeding.step_seed(seed, step, self._world.rank))
        self._freezing.hold()
        self._guard.copy()
        loss = self._backward(batch, all_clips)
        norm, losses_finite = self._agreed(loss)
        finite = losses_finite and norm is not None
        if norm is not None and finite:
            self._move(step, norm)
        else:
            self._guard.put_back()
        self._stepper.clear_grad()
        excused = losses_finite and self._scale.can_fall
        self._scale.update(finite)
        return StepOutcome(loss, norm, finite or excused)

    def _backward(self, batch: Batch, all_clips: int) -> paddle.Tensor:
        """Gradients of the mean over all clips, averaged over the processes; gives the sum of this process's losses."""
        parts = _parts(batch, self._options.accumulate_steps)
        losses = []
        for number, part in enumerate(parts, start=1):
            together: AbstractContextManager[None] = nullcontext()
            with together if number == len(parts) else self._world.no_sync(self._wrapped):
                loss = self._forward(part)
                (loss * (self._world.size / all_clips * self._scale.value)).backward()
            losses.append(loss.detach())
        return paddle.add_n(losses)

    def _forward(self, batch: Batch) -> paddle.Tensor:
        """The sum of the losses of some clips."""
        waveforms, targets, weight = batch.waveforms, batch.targets, 1.0
        draws = {name: paddle.to_tensor(array) for name, array in batch.model_kwargs.items() if len(array)}
        if len(waveforms) == 0:  # every clip of this part was bad: one silent clip that counts nothing keeps in step
            waveforms = np.zeros((1, waveforms.shape[1]), np.float32)
            targets, weight = np.zeros((1, *targets.shape[1:]), targets.dtype), 0.0
        with autocast(self._options.amp, self._world.device):
            logits = self._wrapped(paddle.to_tensor(waveforms), **draws)
        return self._loss(logits.astype("float32"), paddle.to_tensor(targets)).sum() * weight

    def _agreed(self, loss: paddle.Tensor) -> tuple[float | None, bool]:
        """(the gradient's norm or None, whether the losses of all processes are finite); waits for the device once."""
        both = paddle.stack([loss.flatten().sum(), gradients.squared_norm(self._parameters)])
        own_loss, squared = both.tolist()
        norm = math.sqrt(squared) / self._scale.value if math.isfinite(squared) else None
        bad_losses, bad_norms = self._world.all_reduce_sum(float(not math.isfinite(own_loss)), float(norm is None))
        return None if bad_norms else norm, not bad_losses

    def _move(self, step: int, norm: float) -> None:
        clip = self._options.clip_norm
        factor = 1.0 if clip is None or norm <= clip else clip / norm
        gradients.scale(self._parameters, factor / self._scale.value)
        self.optimizer.set_lr(self.schedule.rate(step))
        self._stepper.step()
        if isinstance(self._average, MovingAverage):
            self._average.update(step)

    def rates(self, step: int) -> dict[str, float]:
        """The learning rate of each group in a step: `all`, or `body` and `head`, or every stage."""
        rate = self.schedule.rate(step)
        return {name: rate * factor for name, factor in self._options.rate_groups.items()}

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Within it the network holds the weights that are evaluated and shipped. Every process."""
        return self._average.in_place() if self._average else nullcontext()

    def state(self) -> dict[str, np.ndarray]:
        """Everything beside the network's own weights that the next step depends on, copied to the host."""
        slots = optimizer_arrays(self.optimizer, self.network.model)
        average = self._average.state() if self._average else {}
        return {**{f"{OPTIMIZER}{name}": array for name, array in slots.items()}, **average, **self._scale.state()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put back what `state` gave. Raises BadRunFolder where it belongs to another optimizer or network."""
        slots = {name.removeprefix(OPTIMIZER): array for name, array in arrays.items() if name.startswith(OPTIMIZER)}
        kept, asked = _kinds(arrays), _kinds(self.state())
        if kept != asked:
            wrong = f"the checkpoint holds {_words(kept)}, but the settings ask for {_words(asked)}"
            raise BadRunFolder(wrong, "averages and half precision are those that a run began with")
        restore_optimizer(self.optimizer, self.network.model, slots)
        if self._average:
            self._average.restore(arrays)
        self._scale.restore(arrays)


def _kinds(arrays: Mapping[str, np.ndarray]) -> set[str]:
    """Which of `ema`, `swa_epochs` and `scale` there are."""
    return {name.partition("/")[0] for name in arrays} & {"ema", "swa_epochs", "scale"}


def _words(kinds: set[str]) -> str:
    names = {"ema": "a moving average", "swa_epochs": "a mean over epochs", "scale": "a scale of the loss"}
    return " and ".join(names[kind] for kind in sorted(kinds)) or "no average"


def _parts(batch: Batch, count: int) -> Sequence[Batch]:
    """The clips in `count` parts, one after another; some may be empty."""
    rows = np.array_split(np.arange(len(batch.ids)), count)
    return [batch.part(some) for some in rows] if count > 1 else [batch]
