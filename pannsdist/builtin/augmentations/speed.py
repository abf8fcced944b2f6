"""Augmentation `speed`: random change of speed, which changes tempo and pitch together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pannsdist.builtin.augmentations import moved_within, probability, refuse_unordered
from pannsdist.contracts import Event, param


@dataclass(frozen=True)
class SpeedParams:
    """The factor is drawn log-uniformly from `low` to `high`."""

    low: float = param(0.9, "minimum speed factor; frequencies are multiplied by it", low=0.25, high=4.0)
    high: float = param(1.1, "maximum speed factor", low=0.25, high=4.0)
    probability: float = probability()


class Speed:
    """Resample the clip, so that tempo and pitch change together.

    A longer result is cropped at a random position; a shorter one is padded with zeros at a random position.
    Source: speed perturbation (Ko et al. 2015, "Audio augmentation for speech recognition"), resampled by soxr.
    """

    Params: ClassVar[type] = SpeedParams

    def __init__(self, params: SpeedParams) -> None:
        refuse_unordered("speed", params, "low", "high")
        self.params = params

    def __call__(self, waveform: np.ndarray, rate_hz: int, generator: np.random.Generator) -> np.ndarray:
        """(S,) float32 -> (S,) float32."""
        return self.with_events(waveform, rate_hz, generator, ())[0]

    def with_events(
        self, waveform: np.ndarray, rate_hz: int, generator: np.random.Generator, events: Sequence[Event]
    ) -> tuple[np.ndarray, list[Event]]:
        """The same, with the events as long as they sound now."""
        import soxr

        factor = float(np.exp(generator.uniform(np.log(self.params.low), np.log(self.params.high))))
        played: np.ndarray = soxr.resample(waveform, rate_hz * factor, rate_hz, quality="HQ")
        spare = len(played) - len(waveform)
        first = int(generator.integers(0, abs(spare) + 1))
        shift = -first if spare >= 0 else first
        whole_s = len(waveform) / rate_hz
        moved = [part for event in events for part in moved_within(event, 1.0 / factor, shift / rate_hz, whole_s)]
        if spare >= 0:
            return played[first : first + len(waveform)].astype(np.float32), moved
        padded = np.zeros_like(waveform)
        padded[first : first + len(played)] = played
        return padded, moved
