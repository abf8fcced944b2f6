"""A change of weights and optimizer state that takes place only if a condition holds, which the device computes.

Paddle's own way, `found_inf` of its GradScaler, does not avoid the wait for the device: see decision 34.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import paddle

from pannsdist.training.optimization import gradients
from pannsdist.training.optimization.gradients import StatisticsBackup


class Decision(Protocol):
    """Who decides whether a step takes place. Both give the same bits."""

    def scale(self, parameters: Sequence[paddle.Tensor], factor: paddle.Tensor) -> None:
        """Multiply all gradients, in place, by a float64 scalar on the device."""
        ...

    def change_if(self, condition: paddle.Tensor, tensors: Sequence[paddle.Tensor], change: Callable[[], None]) -> None:
        """Call `change`, which changes `tensors` in place; where the condition does not hold they stay as they were."""
        ...

    def keep_if(self, condition: paddle.Tensor, statistics: StatisticsBackup) -> None:
        """Restore the statistics from before the step where the condition does not hold."""
        ...


class HostDecision:
    """The host reads the condition and changes nothing where it does not hold. Right on a CPU: nothing waits there."""

    def scale(self, parameters: Sequence[paddle.Tensor], factor: paddle.Tensor) -> None:
        """See Decision."""
        gradients.scale(parameters, factor.item())

    def change_if(
        self,
        condition: paddle.Tensor,
        tensors: Sequence[paddle.Tensor],  # noqa: ARG002 - they are not touched
        change: Callable[[], None],
    ) -> None:
        """See Decision."""
        if condition.item():
            change()

    def keep_if(self, condition: paddle.Tensor, statistics: StatisticsBackup) -> None:
        """See Decision."""
        if not condition.item():
            statistics.restore()


class DeviceDecision:
    """The change always takes place, and the device then selects old or new values. The host waits for nothing.

    The copy of the old values lives during the update only, when the activations of the step are free already.
    """

    def scale(self, parameters: Sequence[paddle.Tensor], factor: paddle.Tensor) -> None:
        """See Decision."""
        gradients.scale_on_device(parameters, factor)

    def change_if(self, condition: paddle.Tensor, tensors: Sequence[paddle.Tensor], change: Callable[[], None]) -> None:
        """See Decision."""
        with paddle.no_grad():
            before = [tensor.detach().clone() for tensor in tensors]
            change()
            for tensor, old in zip(tensors, before, strict=True):
                paddle.assign(chosen(condition, tensor.detach(), old), tensor)

    def keep_if(self, condition: paddle.Tensor, statistics: StatisticsBackup) -> None:
        """See Decision."""
        statistics.restore_unless(condition)


def chosen(condition: paddle.Tensor, new: paddle.Tensor, old: paddle.Tensor) -> paddle.Tensor:
    """`new` where the scalar condition holds, else `old`, bit for bit."""
    return paddle.where(condition.expand(new.shape) if new.shape else condition, new, old)
