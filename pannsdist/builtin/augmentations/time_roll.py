"""Augmentation `time_roll`: random circular shift in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pannsdist.builtin.augmentations import moved_within, probability
from pannsdist.contracts import Event, param


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
        return np.roll(waveform, self._shift(waveform, rate_hz, generator))

    def with_events(
        self, waveform: np.ndarray, rate_hz: int, generator: np.random.Generator, events: Sequence[Event]
    ) -> tuple[np.ndarray, list[Event]]:
        """The same, with the events in it: what is moved beyond the end is at the start."""
        shift = self._shift(waveform, rate_hz, generator)
        shift_s, whole_s = shift / rate_hz, len(waveform) / rate_hz
        moved = [
            part
            for event in events
            for turn_s in (-whole_s, 0.0, whole_s)
            for part in moved_within(event, 1.0, shift_s + turn_s, whole_s)
        ]
        return np.roll(waveform, shift), moved

    def _shift(self, waveform: np.ndarray, rate_hz: int, generator: np.random.Generator) -> int:
        """By how many samples the clip is shifted."""
        half = len(waveform) // 2
        furthest = half if self.params.max_s is None else min(half, round(self.params.max_s * rate_hz))
        return int(generator.integers(-furthest, furthest + 1))
