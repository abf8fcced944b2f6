"""Augmentation `time_roll`: random circular shift in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pannsdist.builtin.augmentations import probability
from pannsdist.contracts import param


@dataclass(frozen=True)
class TimeRollParams:
    """The shift is drawn uniformly in both directions."""

    max_s: float | None = param(None, "maximum shift in seconds; null: half the clip", above=0.0)
    probability: float = probability()


class TimeRoll:
    """Shift the clip circularly in time.

    Source: the time rolling of PaSST (Koutini et al. 2022, arXiv 2110.05069) and EfficientAT.
    """

    Params: ClassVar[type] = TimeRollParams

    def __init__(self, params: TimeRollParams) -> None:
        self.params = params

    def __call__(self, waveform: np.ndarray, rate_hz: int, generator: np.random.Generator) -> np.ndarray:
        """(S,) float32 -> (S,) float32, the same samples, rotated."""
        half = len(waveform) // 2
        furthest = half if self.params.max_s is None else min(half, round(self.params.max_s * rate_hz))
        return np.roll(waveform, int(generator.integers(-furthest, furthest + 1)))
