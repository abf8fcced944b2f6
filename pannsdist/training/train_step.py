"""One optimizer step over all processes: forward, backward, gradient check, update."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import paddle

from pannsdist.contracts.batch import Batch
from pannsdist.contracts.network import Network, evaluation_mode
from pannsdist.distributed.world import World
from pannsdist.runtime import seeding
from pannsdist.runtime.errors import BadRunFolder
from pannsdist.training.device_copy import on_device
from pannsdist.training.optimization import gradients
from pannsdist.training.optimization.averaging import ExponentialMovingAverage, StochasticWeightAverage
from pannsdist.training.optimization.deciding import Decision, DeviceDecision, HostDecision
from pannsdist.training.optimization.freezing import Freezing
from pannsdist.training.optimization.mean_teacher import Consistency
from pannsdist.training.optimization.optimizers import optimizer_arrays, restore_optimizer, state_on_device
from pannsdist.training.optimization.precision import LossScale, autocast, needs_loss_scale
from pannsdist.training.step_outcome import StepOutcome

Loss = Callable[[paddle.Tensor, paddle.Tensor], paddle.Tensor]
LossOfLogits = Callable[[paddle.Tensor], paddle.Tensor]
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
class StepCheck:
    """What decides about a step, as scalars on the device: all but `loss` are the same in every process.

    `loss` is the sum over this process's clips, `norm` the float64 norm of the whole gradient, without the loss scale.
    """

    loss: paddle.Tensor
    norm: paddle.Tensor
    losses_finite: paddle.Tensor
    gradient_finite: paddle.Tensor

    @property
    def finite(self) -> paddle.Tensor:
        """Whether the step takes place."""
        return paddle.logical_and(self.losses_finite, self.gradient_finite)


@dataclass(frozen=True)
class StepOptions:
    """Options of a step beside loss, optimizer and schedule.

    `accumulate_steps`: gradient accumulation steps, the micro-batches that each process splits its batch into.
    `clip_norm`: maximum gradient norm. `amp`: none, fp16 or bf16. `swa_first_epoch`: first epoch of stochastic weight
    averaging. `lr_factors`: learning rate factors by parameter group, for reports. `consistency` is the mean teacher,
    whose weights are the moving average.
    """

    accumulate_steps: int = 1
    clip_norm: float | None = None
    amp: str = "none"
    ema_decay: float = 0.0
    swa_first_epoch: int | None = None
    freezing: Freezing | None = None
    lr_factors: Mapping[str, float] = field(default_factory=lambda: {"all": 1.0})
    consistency: Consistency | None = None


@dataclass(frozen=True)
class _Inputs:
    """A micro-batch on the device; its losses count `weight`."""

    waveforms: paddle.Tensor
    targets: paddle.Tensor
    weight: float
    kwargs: Mapping[str, paddle.Tensor]


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
        self._scale = LossScale(needs_loss_scale(self._options.amp, world.device))
        self._parameters: list[paddle.Tensor] = list(optimizer._parameter_list)
        statistics = network.statistics_tensors()
        self._statistics_backup = gradients.StatisticsBackup(list(statistics.values()))
        self._average = self._build_average(statistics)
        self._decision: Decision = DeviceDecision() if world.is_asynchronous else HostDecision()
        self._state = state_on_device(optimizer, world.device != "cpu") if world.is_asynchronous else []

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
        skip the step: weights, averages, statistics and optimizer state stay unchanged. A GPU decides that by itself:
        the host does not wait for it here, but when the outcome is read.
        """
        paddle.seed(seeding.step_seed(seed, step, self._world.rank))
        self._freezing.keep_frozen_in_eval_mode()
        self._statistics_backup.save()
        check = self._check(self._backward(batch, step, all_clips))
        self._decision.change_if(check.finite, self._changing_tensors(), lambda: self._update(step, check.norm))
        self._decision.keep_if(check.finite, self._statistics_backup)
        self._wrapped_optimizer.clear_grad()
        counts = paddle.logical_or(check.finite, self._scale.may_overflow(check.losses_finite))
        self._scale.update(check.finite)
        return _outcome(check, counts)

    def _backward(self, batch: Batch, step: int, all_clips: int) -> paddle.Tensor:
        """Compute gradients of the mean over all clips of all processes; returns the sum of this process's losses."""
        micro_batches = _micro_batches(batch, self._options.accumulate_steps)
        taught = self._taught(micro_batches, step)
        losses = []
        for number, (part, further) in enumerate(zip(micro_batches, taught, strict=True), start=1):
            is_last = number == len(micro_batches)
            with self._averaging() if is_last else self._world.no_sync(self._wrapped):
                loss = self._forward(part, further)
                self._scale.scaled(loss, self._world.size / all_clips).backward()
            losses.append(loss.detach())
        return paddle.add_n(losses)

    def _averaging(self) -> AbstractContextManager[None]:
        return self._world.averaging(self._wrapped, self._parameters)

    def _inputs(self, batch: Batch) -> _Inputs:
        waveforms, targets, weight = batch.waveforms, batch.targets, 1.0
        kwargs = {name: self._tensor(array) for name, array in batch.model_kwargs.items() if len(array)}
        if len(waveforms) == 0:  # no readable clip here: a silent clip of weight 0 takes part in the collectives
            waveforms = np.zeros((1, *waveforms.shape[1:]), np.float32)
            targets, weight = np.zeros((1, *targets.shape[1:]), targets.dtype), 0.0
        return _Inputs(self._tensor(waveforms), self._tensor(targets), weight, kwargs)

    def _forward(self, batch: Batch, further: LossOfLogits | None) -> paddle.Tensor:
        """The sum of the losses of a micro-batch, with a further loss of its logits, if there is one."""
        inputs = self._inputs(batch)
        with autocast(self._options.amp, self._world.device):
            logits = self._wrapped(inputs.waveforms, **inputs.kwargs, is_embedded=batch.is_embedded)
        logits = logits.astype("float32")
        losses = self._loss(logits, inputs.targets)
        if further is not None:
            losses = losses + further(logits)
        return losses.sum() * inputs.weight

    def _taught(self, micro_batches: Sequence[Batch], step: int) -> Sequence[LossOfLogits | None]:
        """The consistency loss of each micro-batch, whose clips the teacher hears unmasked; None without a teacher."""
        consistency = self._options.consistency
        if consistency is None:
            return [None] * len(micro_batches)
        with self.averaged_weights(), evaluation_mode(self.network), paddle.no_grad():
            teachers = [self._unmasked(part) for part in micro_batches]
        return [partial(consistency.loss, step=step, teacher=teacher) for teacher in teachers]

    def _unmasked(self, batch: Batch) -> paddle.Tensor:
        inputs = self._inputs(batch)
        mixed = {name: value for name, value in inputs.kwargs.items() if name != "augment_noise"}
        with autocast(self._options.amp, self._world.device):
            return self.network(inputs.waveforms, **mixed).astype("float32")

    def _tensor(self, array: np.ndarray) -> paddle.Tensor:
        return on_device(array, self._world.device != "cpu")

    def _check(self, loss: paddle.Tensor) -> StepCheck:
        """Whether losses and gradient are finite in all processes; on GPUs the host does not wait."""
        with paddle.no_grad():
            loss, squared = loss.flatten().sum(), gradients.squared_norm(self._parameters)
            bad = paddle.logical_not(paddle.isfinite(paddle.stack([loss, squared])))
            are_finite = self._world.sum_tensor(bad.astype("float64")) == 0
            norm = self._scale.unscaled(squared.astype("float64").sqrt())
            return StepCheck(loss, norm, are_finite[0], are_finite[1])

    def _changing_tensors(self) -> list[paddle.Tensor]:
        """All that an update changes: weights, optimizer state and moving average."""
        if not self._world.is_asynchronous:
            return []
        trained = [parameter for parameter in self._parameters if not parameter.stop_gradient]
        means = self._average.tensors if isinstance(self._average, ExponentialMovingAverage) else []
        return [*trained, *self._state, *means]

    def _update(self, step: int, norm: paddle.Tensor) -> None:
        if self._options.clip_norm is not None or self._scale.enabled:
            self._decision.scale(self._parameters, self._scale.unscaled(_clip_factor(norm, self._options.clip_norm)))
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


def _clip_factor(norm: paddle.Tensor, clip_norm: float | None) -> paddle.Tensor:
    """The float64 factor that makes a gradient of this norm as long as `clip_norm`; 1 if it is not longer."""
    one = paddle.ones_like(norm)
    return one if clip_norm is None else paddle.where(norm <= clip_norm, one, clip_norm / norm)


def _outcome(check: StepCheck, counts: paddle.Tensor) -> StepOutcome:
    """`counts`: whether the step was finite, or its overflow is one of the loss scale."""
    norm = paddle.where(check.gradient_finite, check.norm, paddle.full([], float("nan"), "float64"))
    return StepOutcome(paddle.stack([check.loss.astype("float64"), norm, counts.astype("float64")]))


def _optional_state(arrays: Mapping[str, np.ndarray]) -> set[str]:
    """The keys of `OPTIONAL_STATE` that are present."""
    return {name.partition("/")[0] for name in arrays} & OPTIONAL_STATE.keys()


def _described(keys: set[str]) -> str:
    return " and ".join(OPTIONAL_STATE[key] for key in sorted(keys)) or "no average"


def _micro_batches(batch: Batch, count: int) -> Sequence[Batch]:
    """The batch in `count` parts, in order; some may be empty."""
    rows = np.array_split(np.arange(len(batch.ids)), count)
    return [batch.part(some) for some in rows] if count > 1 else [batch]
