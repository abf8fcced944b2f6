"""The result of a step, which stays on the device until it is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import paddle


@dataclass(frozen=True)
class StepResult:
    """The result of a step on the host.

    `loss` is the sum over this process's clips. `gradient_norm` is the norm of the gradient of the mean over all clips,
    before clipping; None where it is not finite. `finite` is False for a step that was skipped because a loss or the
    gradient was not finite; an fp16 overflow, which only lowers the loss scale, does not count. Norm and `finite` are
    the same in every process.
    """

    loss: float
    gradient_norm: float | None
    finite: bool


class StepOutcome:
    """The result of a step on the device: `values` (3) float64 are loss, gradient norm, and 1 for a finite step.

    The first access to one of its properties waits for the device; several outcomes are read at once by `read`.
    """

    def __init__(self, values: paddle.Tensor) -> None:
        self.values = values

    @cached_property
    def result(self) -> StepResult:
        """The result on the host; waits for the device."""
        (result,) = read([self])
        return result

    @property
    def loss(self) -> float:
        """See StepResult; waits for the device."""
        return self.result.loss

    @property
    def gradient_norm(self) -> float | None:
        """See StepResult; waits for the device."""
        return self.result.gradient_norm

    @property
    def finite(self) -> bool:
        """See StepResult; waits for the device."""
        return self.result.finite


def read(outcomes: Sequence[StepOutcome]) -> list[StepResult]:
    """The results of several steps; waits for the device once."""
    if not outcomes:
        return []
    rows = paddle.stack([outcome.values for outcome in outcomes]).tolist()
    return [StepResult(loss, norm if math.isfinite(norm) else None, bool(finite)) for loss, norm, finite in rows]
