"""The learning rate of an optimizer that the user made."""

from __future__ import annotations

import paddle
from paddle.optimizer.lr import LRScheduler, ReduceOnPlateau

from pannsdist.runtime.errors import UserError


class OwnSchedule:
    """The learning rate as the user's optimizer has it: a number, or a scheduler that is stepped once a batch.

    Paddle's `set_lr` refuses while the optimizer holds a scheduler, so it is taken out, and asked here.
    """

    def __init__(self, optimizer: paddle.optimizer.Optimizer) -> None:
        self._optimizer = optimizer
        self._scheduler = optimizer._learning_rate if isinstance(optimizer._learning_rate, LRScheduler) else None
        if isinstance(self._scheduler, ReduceOnPlateau):
            raise UserError("the learning rate is ReduceOnPlateau, which asks for scores", "choose one that needs none")
        self._rates: list[float] = []
        if self._scheduler is not None:
            self._rates.append(float(optimizer.get_lr()))
            optimizer._learning_rate = self._rates[0]

    def rate(self, step: int) -> float:
        """The learning rate of step `step`, counted from 1."""
        if self._scheduler is None:
            return float(self._optimizer.get_lr())
        while len(self._rates) < step:
            self._scheduler.step()
            self._rates.append(float(self._scheduler()))
        return self._rates[step - 1]
