"""One optimizer step over all processes: forward, backward, gradient check, update."""

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
from pannsdist.training.optimization.averaging import ExponentialMovingAverage, StochasticWeightAverage
from pannsdist.training.optimization.freezing import Freezing
from pannsdist.training.optimization.optimizers import optimizer_arrays, restore_optimizer
from pannsdist.training.optimization.precision import LossScale, autocast, has_effect

Loss = Callable[[paddle.Tensor, paddle.Tensor], paddle.Tensor]
WeightAverage = ExponentialMovingAverage | StochasticWeightAverage
OPTIMIZER = "optimizer/"
OPTIONAL_STATE = {"ema": "a moving average", "swa_epochs": "a mean over epochs", "scale": "a scale of the loss"}
"""State that only some settings have, by its prefix in a checkpoint."""


class LearningRateSchedule(Protocol):
    """A learning rate as a function of the step, counted from 1."""

    def rate(self, step: int) -> float:
        """The learning rate of step `step`."""
        ...


@dataclass(frozen=True)
class StepOutcome:
    """The result of a step.

    `loss` is the sum over this process's clips, on the device. `gradient_norm` is the norm of the gradient of the mean
    over all clips, before clipping; None where it is not finite. `finite` is False for a step that was skipped because
    a loss or the gradient was not finite; an fp16 overflow, which only lowers the loss scale, does not count. Norm and
    `finite` are the same in every process.
    """

    loss: paddle.Tensor
    gradient_norm: float | None = None
    finite: bool = True


@dataclass(frozen=True)
class StepOptions:
    """Options of a step beside loss, optimizer and schedule.

    `accumulate_steps`: gradient accumulation steps, the micro-batches that each process splits its batch into.
    `clip_norm`: maximum gradient norm. `amp`: none, fp16 or bf16. `swa_first_epoch`: first epoch of stochastic weight
    averaging. `lr_factors`: learning rate factors by parameter group, for reports.
    """

    accumulate_steps: int = 1
    clip_norm: float | None = None
    amp: str = "none"
    ema_decay: float = 0.0
    swa_first_epoch: int | None = None
    freezing: Freezing | None = None
    lr_factors: Mapping[str, float] = field(default_factory=lambda: {"all": 1.0})


class Learner:
    """A network, its loss and its optimizer, wrapped so that backward averages gradients over all processes.

    All processes must build one; rank 0's weights are broadcast.
    """

    def __init__(  # noqa: PLR0913 - the components of a step
        self,
        world: World,
        network: Network,
        loss: Loss,
        optimizer: paddle.optimizer.Optimizer,
        schedule: LearningRateSchedule,
        *,
        options: StepOptions | None = None,
    ) -> None:
        self.network, self.optimizer, self.schedule = network, optimizer, schedule
        self._world, self._loss, self._options = world, loss, options or StepOptions()
        self._freezing = self._options.freezing or Freezing(network.model)
        self._freezing.set_epoch(1)
        self._wrapped = world.wrap_model(network)
        self._wrapped_optimizer = world.wrap_optimizer(optimizer)
        self._scale = LossScale(self._options.amp == "fp16" and has_effect("fp16", world.device))
        self._parameters: list[paddle.Tensor] = list(optimizer._parameter_list)
        statistics = network.statistics_tensors()
        self._statistics_backup = gradients.StatisticsBackup(list(statistics.values()))
        self._average = self._build_average(statistics)

    def _build_average(self, statistics: Mapping[str, paddle.Tensor]) -> WeightAverage | None:
        own = {id(parameter) for parameter in self._parameters}
        weights = {name: tensor for name, tensor in self.network.model.named_parameters() if id(tensor) in own}
        if self._options.ema_decay:
            return ExponentialMovingAverage(weights, self._options.ema_decay)
        if self._options.swa_first_epoch is not None:
            return StochasticWeightAverage({**weights, **statistics}, self._options.swa_first_epoch)
        return None

    def start_epoch(self, epoch: int) -> None:
        """Freeze and unfreeze stages. All processes must call this before an epoch's first step and after `restore`."""
        if self._freezing.set_epoch(epoch):
            self._wrapped = self._world.wrap_model(self.network)

    def end_epoch(self, epoch: int) -> None:
        """Update stochastic weight averaging. All processes must call this, after running statistics are synced."""
        if isinstance(self._average, StochasticWeightAverage):
            self._average.update(epoch)

    def step(self, batch: Batch, step: int, all_clips: int, seed: int) -> StepOutcome:
        """One step on this process's part of a batch of `all_clips` clips. All processes must call this.

        Device randomness depends on (seed, step, rank) only. The gradient is that of the mean over all clips of all
        processes, even if their numbers differ. If a loss or the gradient is not finite in any process, all processes
        skip the step: weights, averages, statistics and optimizer state stay unchanged.
        """
        paddle.seed(seeding.step_seed(seed, step, self._world.rank))
        self._freezing.keep_frozen_in_eval_mode()
        self._statistics_backup.save()
        loss = self._backward(batch, all_clips)
        norm, losses_finite = self._sync_norm(loss)
        finite = losses_finite and norm is not None
        if norm is not None and finite:
            self._update(step, norm)
        else:
            self._statistics_backup.restore()
        self._wrapped_optimizer.clear_grad()
        may_be_overflow = losses_finite and self._scale.can_decrease
        self._scale.update(finite)
        return StepOutcome(loss, norm, finite or may_be_overflow)

    def _backward(self, batch: Batch, all_clips: int) -> paddle.Tensor:
        """Compute gradients of the mean over all clips of all processes; returns the sum of this process's losses."""
        micro_batches = _micro_batches(batch, self._options.accumulate_steps)
        losses = []
        for number, part in enumerate(micro_batches, start=1):
            is_last = number == len(micro_batches)
            with self._averaging() if is_last else self._world.no_sync(self._wrapped):
                loss = self._forward(part)
                (loss * (self._world.size / all_clips * self._scale.value)).backward()
            losses.append(loss.detach())
        return paddle.add_n(losses)

    def _averaging(self) -> AbstractContextManager[None]:
        return self._world.averaging(self._wrapped, self._parameters)

    def _forward(self, batch: Batch) -> paddle.Tensor:
        """The sum of the losses of a micro-batch."""
        waveforms, targets, weight = batch.waveforms, batch.targets, 1.0
        inputs = {name: paddle.to_tensor(array) for name, array in batch.model_kwargs.items() if len(array)}
        if len(waveforms) == 0:  # no readable clip here: a silent clip of weight 0 takes part in the collectives
            waveforms = np.zeros((1, waveforms.shape[1]), np.float32)
            targets, weight = np.zeros((1, *targets.shape[1:]), targets.dtype), 0.0
        with autocast(self._options.amp, self._world.device):
            logits = self._wrapped(paddle.to_tensor(waveforms), **inputs, is_embedded=batch.is_embedded)
        return self._loss(logits.astype("float32"), paddle.to_tensor(targets)).sum() * weight

    def _sync_norm(self, loss: paddle.Tensor) -> tuple[float | None, bool]:
        """(gradient norm or None, whether all processes' losses are finite); waits for the device once."""
        both = paddle.stack([loss.flatten().sum(), gradients.squared_norm(self._parameters)])
        own_loss, squared = both.tolist()
        norm = math.sqrt(squared) / self._scale.value if math.isfinite(squared) else None
        bad_losses, bad_norms = self._world.all_reduce_sum(float(not math.isfinite(own_loss)), float(norm is None))
        return None if bad_norms else norm, not bad_losses

    def _update(self, step: int, norm: float) -> None:
        clip = self._options.clip_norm
        factor = 1.0 if clip is None or norm <= clip else clip / norm
        gradients.scale(self._parameters, factor / self._scale.value)
        self.optimizer.set_lr(self.schedule.rate(step))
        self._wrapped_optimizer.step()
        if isinstance(self._average, ExponentialMovingAverage):
            self._average.update(step)

    def learning_rates(self, step: int) -> dict[str, float]:
        """The learning rate of each group in a step: `all`, or `body` and `head`, or every stage."""
        rate = self.schedule.rate(step)
        return {name: rate * factor for name, factor in self._options.lr_factors.items()}

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Within the block the network holds the weights to evaluate and save. All processes must call this."""
        return self._average.applied() if self._average else nullcontext()

    def state(self) -> dict[str, np.ndarray]:
        """Optimizer state, weight average and loss scale, copied to the host; not the network's weights."""
        slots = optimizer_arrays(self.optimizer, self.network.model)
        average = self._average.state() if self._average else {}
        return {**{f"{OPTIMIZER}{name}": array for name, array in slots.items()}, **average, **self._scale.state()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore what `state` returned. Raises BadRunFolder if it belongs to another optimizer or network."""
        slots = {name.removeprefix(OPTIMIZER): array for name, array in arrays.items() if name.startswith(OPTIMIZER)}
        found, expected = _optional_state(arrays), _optional_state(self.state())
        if found != expected:
            wrong = f"the checkpoint holds {_described(found)}, but the settings require {_described(expected)}"
            raise BadRunFolder(wrong, "weight averages and half precision cannot be changed within a run")
        restore_optimizer(self.optimizer, self.network.model, slots)
        if self._average:
            self._average.restore(arrays)
        self._scale.restore(arrays)


def _optional_state(arrays: Mapping[str, np.ndarray]) -> set[str]:
    """The keys of `OPTIONAL_STATE` that are present."""
    return {name.partition("/")[0] for name in arrays} & OPTIONAL_STATE.keys()


def _described(keys: set[str]) -> str:
    return " and ".join(OPTIONAL_STATE[key] for key in sorted(keys)) or "no average"


def _micro_batches(batch: Batch, count: int) -> Sequence[Batch]:
    """The batch in `count` parts, in order; some may be empty."""
    rows = np.array_split(np.arange(len(batch.ids)), count)
    return [batch.part(some) for some in rows] if count > 1 else [batch]
