"""The learning rate as a pure function of the step: there is no state to save."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

ONE_CYCLE_START, ONE_CYCLE_RISE = 1 / 25, 0.3
"""Where one cycle starts, and the share of the steps in which it rises: those of fastai."""


@dataclass(frozen=True)
class Schedule:
    """The learning rate of every step: a warm-up to `peak`, then the named shape.

    The warm-up is linear from zero, but for two shapes. `one_cycle` (Smith and Topin 2018, arXiv 1708.07120; the
    momentum is left alone) rises from a 25th of the peak along half a cosine, over the warm-up where one is set and
    over 0.3 of the steps otherwise. `warmup_linear_down` rises as exp(-5 (1 - x)^2) (Laine and Aila 2017, arXiv
    1610.02242), stays for `hold_steps` and falls in a straight line, as PaSST is trained (Koutini et al. 2022, arXiv
    2110.05069). `step` multiplies by `gamma` after each of the steps in `drops`. All but `constant` and `step` end at
    `final_lr_factor` of the peak.
    """

    name: str
    peak: float
    total_steps: int
    warmup_steps: int = 0
    final_lr_factor: float = 0.0
    hold_steps: int = 0
    drops: tuple[int, ...] = ()
    gamma: float = 0.1

    def rate(self, step: int) -> float:
        """The learning rate of step `step`, counted from 1; beyond the end it stays where it is."""
        warmup = self._warmup_steps
        if step <= warmup:
            return self.peak * self._risen(step / warmup)
        start = warmup + self.hold_steps
        done = min(1.0, max(0.0, (step - start) / max(1, self.total_steps - start)))
        if self.name == "constant":
            return self.peak
        if self.name == "step":
            return self.peak * self.gamma ** sum(step > drop for drop in self.drops)
        fallen = done if self.name in ("linear", "warmup_linear_down") else 0.5 * (1 - math.cos(math.pi * done))
        return self.peak * (1 - (1 - self.final_lr_factor) * fallen)

    @property
    def _warmup_steps(self) -> int:
        if self.name == "one_cycle" and not self.warmup_steps:
            return max(1, round(ONE_CYCLE_RISE * self.total_steps))
        return self.warmup_steps

    def _risen(self, lr_factor: float) -> float:
        if self.name == "one_cycle":
            return ONE_CYCLE_START + (1 - ONE_CYCLE_START) * 0.5 * (1 - math.cos(math.pi * lr_factor))
        return math.exp(-5 * (1 - lr_factor) ** 2) if self.name == "warmup_linear_down" else lr_factor


@dataclass(frozen=True)
class Warmed:
    """The learning rate of every step: a linear warm-up from zero to `peak`, then shares of it that a plugin gives.

    `share` takes the step after the warm-up, counted from 1, how many there are of these, and the steps of an epoch.
    """

    lr_factor: Callable[[int, int, int], float]
    peak: float
    total_steps: int
    epoch_steps: int
    warmup_steps: int = 0

    def rate(self, step: int) -> float:
        """The learning rate of step `step`, counted from 1; beyond the end it stays where it is."""
        if step <= self.warmup_steps:
            return self.peak * step / self.warmup_steps
        shared = max(1, self.total_steps - self.warmup_steps)
        return self.peak * self.lr_factor(min(step - self.warmup_steps, shared), shared, self.epoch_steps)


@dataclass(frozen=True)
class Rising:
    """A rate that grows by the same factor at each step, from `low` to `high`: what a learning-rate finder tries."""

    low: float
    high: float
    total_steps: int

    def rate(self, step: int) -> float:
        """The learning rate of step `step`, counted from 1."""
        return float(self.low * (self.high / self.low) ** ((step - 1) / max(1, self.total_steps - 1)))
