"""Spectrograms for people: level over time and frequency, with the places of ticks in seconds and hertz.

Not the features of a network: these have axes that depend on the feature plugin. Only numpy is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WINDOW_S, ROWS, COLUMNS = 0.046, 96, 400
RANGE_DB = 80.0
TICKS_HZ = (100, 500, 1000, 2000, 4000, 8000, 16000, 32000)


@dataclass(frozen=True, eq=False)
class Spectrogram:
    """`levels` (ROWS, columns) in [0, 1], row 0 at 0 Hz: dB from RANGE_DB below the maximum up to it.

    Rows are evenly spaced in mel (2595 log10(1 + f / 700)) from 0 Hz to half the sample rate.
    """

    levels: NDArray[np.float32]
    rate_hz: int
    duration_s: float

    def height(self, hz: float) -> float:
        """The place of a frequency on the axis, from 0 at 0 Hz to 1 at half the sample rate."""
        return float(_mel(hz) / _mel(self.rate_hz / 2))

    @property
    def ticks_hz(self) -> list[int]:
        """Frequencies to label, far enough from each other to be read."""
        return [hz for hz in TICKS_HZ if hz <= 0.51 * self.rate_hz]

    @property
    def ticks_s(self) -> list[float]:
        """Times to label: three to six multiples of 1, 2 or 5 times a power of ten."""
        if self.duration_s <= 0.0:
            return [0.0]
        power = 10.0 ** np.floor(np.log10(self.duration_s / 3.0))
        step = next(factor * power for factor in (5, 2, 1) if factor * power <= self.duration_s / 2.9 or factor == 1)
        return [float(place) for place in np.arange(0.0, self.duration_s * 1.0001, step)]


def spectrogram(waveform: NDArray[np.floating], rate_hz: int) -> Spectrogram:
    """The spectrogram of a waveform (S,), of any length; a Hann window of 46 ms, and up to COLUMNS frames."""
    samples = max(16, 2 ** round(np.log2(WINDOW_S * rate_hz)))
    hop = max(samples // 4, -(-len(waveform) // COLUMNS))
    padded = np.pad(np.nan_to_num(np.asarray(waveform, np.float64)), samples // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, samples)[::hop][:COLUMNS]
    power = np.abs(np.fft.rfft(frames * np.hanning(samples), axis=1)) ** 2
    mels = np.linspace(0.0, _mel(rate_hz / 2), ROWS)
    rows = 700.0 * (10.0 ** (mels / 2595.0) - 1.0) * samples / rate_hz
    decibels = 10.0 * np.log10(np.maximum(_resampled(power, rows), 1e-12))
    levels = np.clip((decibels - decibels.max()) / RANGE_DB + 1.0, 0.0, 1.0)
    if decibels.max() <= -120.0:  # silence
        levels = np.zeros_like(levels)
    return Spectrogram(levels.T.astype(np.float32), rate_hz, len(waveform) / rate_hz)


def _resampled(power: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Power (T, K) of bins as (T, ROWS): the mean up to the next row where that spans several bins, else in between."""
    sums = np.concatenate([np.zeros((len(power), 1)), np.cumsum(power, axis=1)], axis=1)
    edges = np.concatenate([rows - 0.5 * np.gradient(rows), rows[-1:] + 0.5]) + 0.5
    low, high = edges[:-1], np.maximum(edges[1:], edges[:-1] + 1.0)
    places = np.clip(np.stack([low, high]), 0.0, power.shape[1])
    whole = np.minimum(places.astype(int), power.shape[1] - 1)
    below = sums[:, whole] + power[:, whole] * (places - whole)
    return np.asarray((below[:, 1] - below[:, 0]) / np.maximum(places[1] - places[0], 1e-9))


def _mel(hz: float) -> float:
    return float(2595.0 * np.log10(1.0 + hz / 700.0))
