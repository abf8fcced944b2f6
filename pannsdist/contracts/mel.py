"""Mel filters: triangles that are evenly spaced on a scale of pitch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["mel_filters"]

LINEAR_HZ = 200 / 3
"""Hz of a mel of Slaney's scale, below its bend at 1000 Hz."""
BEND_HZ, BEND_MEL = 1000.0, 1000.0 / LINEAR_HZ
LOG_STEP = np.log(6.4) / 27
"""Logarithm of the ratio of two frequencies that are a mel apart, above the bend."""


def mel_filters(
    fft_hz: NDArray[np.floating[Any]], bands: int, low_hz: float, high_hz: float, htk: bool = False
) -> NDArray[np.float32]:
    """Triangles of unit area between `low_hz` and `high_hz`, at the frequencies (K,) of a spectrum: (bands, K).

    To the last bit those of `librosa.filters.mel`, whose import takes as long as that of Paddle. Mel scale of Slaney's
    Auditory Toolbox (Interval Research, 1998), or of HTK.
    """
    to_mel, to_hz = (_htk_mel, _htk_hz) if htk else (_slaney_mel, _slaney_hz)
    corners_hz = to_hz(np.linspace(to_mel(low_hz), to_mel(high_hz), bands + 2))[:, None]
    below, centre, above = corners_hz[:-2], corners_hz[1:-1], corners_hz[2:]
    rising, falling = (fft_hz - below) / (centre - below), (above - fft_hz) / (above - centre)
    triangles = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return np.asarray(triangles * (2.0 / (above - below)), np.float32)


def _slaney_mel(hz: float) -> float:
    return hz / LINEAR_HZ if hz < BEND_HZ else float(BEND_MEL + np.log(hz / BEND_HZ) / LOG_STEP)


def _slaney_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < BEND_MEL, LINEAR_HZ * mel, BEND_HZ * np.exp(LOG_STEP * (mel - BEND_MEL)))


def _htk_mel(hz: float) -> float:
    return float(2595.0 * np.log10(1.0 + hz / 700.0))


def _htk_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
