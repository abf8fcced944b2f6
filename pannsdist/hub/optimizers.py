"""The learning rate of an optimizer created by the user."""

from __future__ import annotations

import paddle
from paddle.optimizer.lr import LRScheduler, ReduceOnPlateau

from pannsdist.runtime.errors import UserError


class OptimizerSchedule:
    """The learning rate of the user's optimizer: a constant, or a scheduler stepped once per batch.

    Paddle's `set_lr` raises while the optimizer holds a scheduler, so the scheduler is detached and stepped here.
    """

    def __init__(self, optimizer: paddle.optimizer.Optimizer) -> None:
        self._optimizer = optimizer
        self._scheduler = optimizer._learning_rate if isinstance(optimizer._learning_rate, LRScheduler) else None
        if isinstance(self._scheduler, ReduceOnPlateau):
            raise UserError("the learning rate is ReduceOnPlateau, which needs scores", "use a scheduler that does not")
        self._rates: list[float] = []
        if self._scheduler is not None:
            self._rates.append(float(optimizer.get_lr()))
            optimizer._learning_rate = self._rates[0]

    def rate(self, step: int) -> float:
        """The learning rate at `step`, counted from 1."""
        if self._scheduler is None:
            return float(self._optimizer.get_lr())
        while len(self._rates) < step:
            self._scheduler.step()
            self._rates.append(float(self._scheduler()))
        return self._rates[step - 1]
