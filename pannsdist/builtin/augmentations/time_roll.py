"""The augmentation `time_roll`: the clip begins elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pannsdist.builtin.augmentations import probability
from pannsdist.contracts import param


@dataclass(frozen=True)
class TimeRollParams:
    """The shift is drawn evenly, forwards or backwards."""

    max_s: float | None = param(None, "longest shift, both ways; null: half the clip", above=0.0)
    probability: float = probability()


class TimeRoll:
    """The clip is shifted in time, and what leaves at one end enters at the other.

    Source: the time rolling of PaSST (Koutini et al. 2022, arXiv 2110.05069) and EfficientAT.
    """

    Params: ClassVar[type] = TimeRollParams

    def __init__(self, params: TimeRollParams) -> None:
        self.params = params

    def __call__(self, waveform: np.ndarray, rate_hz: int, generator: np.random.Generator) -> np.ndarray:
        """(S,) float32 -> (S,) float32, the same samples in a turned order."""
        half = len(waveform) // 2
        furthest = half if self.params.max_s is None else min(half, round(self.params.max_s * rate_hz))
        return np.roll(waveform, int(generator.integers(-furthest, furthest + 1)))
