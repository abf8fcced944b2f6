"""Learning rate schedules as pure functions of the step, without state to save."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

ONE_CYCLE_START, ONE_CYCLE_RISE = 1 / 25, 0.3
"""Initial learning rate factor of one cycle, and the fraction of the steps in which it rises; as in fastai."""


@dataclass(frozen=True)
class Schedule:
    """A warm-up to `peak`, then the named shape.

    The warm-up is linear from zero, except for two shapes. `one_cycle` (Smith and Topin 2018, arXiv 1708.07120; without
    momentum cycling) rises from peak / 25 along half a cosine, over the warm-up if one is set, else over 0.3 of the
    steps. `warmup_linear_down` rises as exp(-5 (1 - x)^2) (Laine and Aila 2017, arXiv 1610.02242), holds for
    `hold_steps` and falls linearly, as in the training of PaSST (Koutini et al. 2022, arXiv 2110.05069). `step`
    multiplies by `gamma` after each of the steps in `drops`. All shapes but `constant` and `step` end at
    `final_lr_factor` times the peak.
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
        """The learning rate of step `step`, counted from 1; constant beyond the end."""
        warmup = self._warmup_steps
        if step <= warmup:
            return self.peak * self._warmup_factor(step / warmup)
        start = warmup + self.hold_steps
        progress = min(1.0, max(0.0, (step - start) / max(1, self.total_steps - start)))
        if self.name == "constant":
            return self.peak
        if self.name == "step":
            return self.peak * self.gamma ** sum(step > drop for drop in self.drops)
        decay = progress if self.name in ("linear", "warmup_linear_down") else 0.5 * (1 - math.cos(math.pi * progress))
        return self.peak * (1 - (1 - self.final_lr_factor) * decay)

    @property
    def _warmup_steps(self) -> int:
        if self.name == "one_cycle" and not self.warmup_steps:
            return max(1, round(ONE_CYCLE_RISE * self.total_steps))
        return self.warmup_steps

    def _warmup_factor(self, progress: float) -> float:
        if self.name == "one_cycle":
            return ONE_CYCLE_START + (1 - ONE_CYCLE_START) * 0.5 * (1 - math.cos(math.pi * progress))
        return math.exp(-5 * (1 - progress) ** 2) if self.name == "warmup_linear_down" else progress


@dataclass(frozen=True)
class PluginSchedule:
    """A linear warm-up from zero to `peak`, then `peak` times the factor of a schedule plugin.

    `lr_factor(step, total_steps, epoch_steps)` counts steps from 1 after the warm-up.
    """

    lr_factor: Callable[[int, int, int], float]
    peak: float
    total_steps: int
    epoch_steps: int
    warmup_steps: int = 0

    def rate(self, step: int) -> float:
        """The learning rate of step `step`, counted from 1; constant beyond the end."""
        if step <= self.warmup_steps:
            return self.peak * step / self.warmup_steps
        steps = max(1, self.total_steps - self.warmup_steps)
        return self.peak * self.lr_factor(min(step - self.warmup_steps, steps), steps, self.epoch_steps)


@dataclass(frozen=True)
class RangeTestSchedule:
    """A learning rate that grows exponentially from `low` to `high`, for the learning rate range test."""

    low: float
    high: float
    total_steps: int

    def rate(self, step: int) -> float:
        """The learning rate of step `step`, counted from 1."""
        return float(self.low * (self.high / self.low) ** ((step - 1) / max(1, self.total_steps - 1)))
