"""Augmentation `random_equaliser`: random frequency responses, as of microphones, rooms and loudspeakers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pannsdist.builtin.augmentations import probability, refuse_unordered
from pannsdist.contracts import param

HIGHEST_FRACTION = 0.45
"""Maximum centre frequency as a fraction of the sample rate: near Nyquist, filters are distorted."""


@dataclass(frozen=True)
class EqualiserParams:
    """Centre frequencies are drawn log-uniformly, gains uniformly in decibels from -max_db to max_db."""

    bands: int = param(3, "number of peaking filters", low=1, high=32)
    max_db: float = param(9.0, "maximum gain and attenuation in dB", above=0.0, high=60.0)
    low_hz: float = param(60.0, "lowest centre frequency in Hz", above=0.0)
    high_hz: float = param(12000.0, "highest centre frequency in Hz; limited to 0.45 of the sample rate", above=0.0)
    quality: float = param(1.0, "quality factor: centre frequency over bandwidth", low=0.1, high=30.0)
    probability: float = probability()


class RandomEqualiser:
    """A cascade of second-order peaking filters at random frequencies.

    Source: the peaking filter of R. Bristow-Johnson's "Cookbook formulae for audio EQ biquad filter coefficients"; as
    an augmentation: audiomentations (SevenBandParametricEQ), FilterAugment (Nam et al. 2022, arXiv 2110.03282).
    """

    Params: ClassVar[type] = EqualiserParams

    def __init__(self, params: EqualiserParams) -> None:
        refuse_unordered("random_equaliser", params, "low_hz", "high_hz")
        self.params = params

    def __call__(self, waveform: np.ndarray, rate_hz: int, generator: np.random.Generator) -> np.ndarray:
        """(S,) float32 -> (S,) float32."""
        from scipy.signal import sosfilt

        highest_hz = min(self.params.high_hz, HIGHEST_FRACTION * rate_hz)
        lowest_hz = min(self.params.low_hz, highest_hz)
        centres_hz = np.exp(generator.uniform(np.log(lowest_hz), np.log(highest_hz), self.params.bands))
        gains_db = generator.uniform(-self.params.max_db, self.params.max_db, self.params.bands)
        chain = [peak(hz / rate_hz, gain, self.params.quality) for hz, gain in zip(centres_hz, gains_db, strict=True)]
        filtered: np.ndarray = sosfilt(np.array(chain), waveform)
        return filtered.astype(np.float32)


def peak(frequency: float, gain_db: float, quality: float) -> list[float]:
    """Peaking filter (b0 b1 b2 1 a1 a2) with `gain_db` at `frequency`, as a fraction of the sample rate."""
    amplitude = 10 ** (gain_db / 40)
    angle = 2 * np.pi * frequency
    alpha = np.sin(angle) / (2 * quality)
    numerator = (1 + alpha * amplitude, -2 * np.cos(angle), 1 - alpha * amplitude)
    denominator = (1 + alpha / amplitude, -2 * np.cos(angle), 1 - alpha / amplitude)
    return [float(value / denominator[0]) for value in (*numerator, *denominator)]
