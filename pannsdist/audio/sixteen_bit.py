"""Samples of 16 bit: n / 32768 is exact in float32, which is what a decoder gives for files of 16 bit."""

from __future__ import annotations

import numpy as np

SCALE = np.float32(1 / 32768)
LOOKED_AT = 1024
"""Samples that show in most cases that a sound is not of 16 bit."""


def as_float(samples: np.ndarray) -> np.ndarray:
    """(S,) int16 or float32 -> (S,) float32."""
    if samples.dtype == np.float32:
        return samples
    scaled: np.ndarray = np.multiply(samples, SCALE, dtype=np.float32)
    return scaled


def to_16_bit(waveform: np.ndarray) -> np.ndarray:
    """(S,) float32 -> (S,) int16, the nearest ones; what is beyond full scale is limited to it."""
    return np.clip(np.rint(waveform * np.float32(32768)), -32768, 32767).astype(np.int16)


def exactly_16_bit(waveform: np.ndarray) -> np.ndarray | None:
    """As `to_16_bit` where `as_float` gives the same bits again, as of a mono file of 16 bit; else None."""
    for some in (waveform[:LOOKED_AT], waveform):
        rounded = to_16_bit(some)
        if not np.array_equal(as_float(rounded).view(np.int32), some.view(np.int32)):
            return None
    return rounded
