"""The augmentation `speed`: played faster or slower, and thereby higher or lower."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pannsdist.builtin.augmentations import probability, refuse_unordered
from pannsdist.contracts import param


@dataclass(frozen=True)
class SpeedParams:
    """The factor is drawn so that a factor and its inverse are equally likely where both lie in the range."""

    low: float = param(0.9, "slowest: frequencies are multiplied by it", low=0.25, high=4.0)
    high: float = param(1.1, "fastest", low=0.25, high=4.0)
    probability: float = probability()


class Speed:
    """The clip is resampled, so that tempo and pitch change together.

    A clip that gets longer is cut at a random place; one that gets shorter is put at a random place of silence.
    Source: speed perturbation (Ko et al. 2015, "Audio augmentation for speech recognition"), resampled by soxr.
    """

    Params: ClassVar[type] = SpeedParams

    def __init__(self, params: SpeedParams) -> None:
        refuse_unordered("speed", params, "low", "high")
        self.params = params

    def __call__(self, waveform: np.ndarray, rate_hz: int, generator: np.random.Generator) -> np.ndarray:
        """(S,) float32 -> (S,) float32."""
        import soxr

        factor = float(np.exp(generator.uniform(np.log(self.params.low), np.log(self.params.high))))
        played: np.ndarray = soxr.resample(waveform, rate_hz * factor, rate_hz, quality="HQ")
        spare = len(played) - len(waveform)
        first = int(generator.integers(0, abs(spare) + 1))
        if spare >= 0:
            return played[first : first + len(waveform)].astype(np.float32)
        padded = np.zeros_like(waveform)
        padded[first : first + len(played)] = played
        return padded
