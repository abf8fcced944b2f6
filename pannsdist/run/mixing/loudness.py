"""Integrated loudness (LUFS) of ITU-R BS.1770-4, one channel, and the gains that give the levels of a soundscape.

As in scaper (Salamon, MacConnell, Cartwright, Li, Bello: Scaper, WASPAA 2017), which measures by pyloudnorm
(Steinmetz, Reiss, AES 2021): K-weighting by filters for the sample rate, blocks of 0.4 s that overlap by 75 %, gates at
-70 LUFS and 10 LU below the mean. Its filters are within 0.05 dB of those of the standard. What is shorter than 0.5 s
is repeated until it is that long.

Axes: S samples.
"""

from __future__ import annotations

import math

import numpy as np

BLOCK_S, STEPS, SHORTEST_S = 0.4, 4, 0.5
ABSOLUTE_GATE_LUFS, RELATIVE_GATE_LU = -70.0, -10.0
OFFSET = -0.691
SHELF = (4.0, 1 / math.sqrt(2), 1500.0)
"""Gain in dB, Q and frequency in Hz of the high shelf, as in pyloudnorm."""
HIGH_PASS = (0.5, 38.0)


def integrated_loudness(waveform: np.ndarray, rate_hz: int) -> float:
    """The loudness of a sound (S,) in LUFS; -inf for silence, and for what is below the gate in every block."""
    if len(waveform) < SHORTEST_S * rate_hz:
        waveform = np.tile(waveform, math.ceil(SHORTEST_S * rate_hz / len(waveform)))
    powers = _block_powers(_k_weighted(waveform.astype(np.float64), rate_hz), rate_hz)
    kept = powers[powers >= _power(ABSOLUTE_GATE_LUFS)]
    if not len(kept):
        return -math.inf
    kept = kept[kept > _power(_lufs(float(kept.mean())) + RELATIVE_GATE_LU)]
    return _lufs(float(kept.mean())) if len(kept) else -math.inf


def loudness_of_any_level(waveform: np.ndarray, rate_hz: int) -> float:
    """As `integrated_loudness`, also of what is below its gate: measured at full scale, then corrected. -inf: zeros."""
    found = integrated_loudness(waveform, rate_hz)
    peak = float(np.abs(waveform).max(initial=0.0))
    if math.isfinite(found) or peak == 0.0:
        return found
    return integrated_loudness(waveform / peak, rate_hz) + 20 * math.log10(peak)


def gain(loudness_lufs: float, wanted_lufs: float) -> float:
    """The factor that brings a sound from one loudness to another."""
    return float(10 ** ((wanted_lufs - loudness_lufs) / 20))


def _k_weighted(waveform: np.ndarray, rate_hz: int) -> np.ndarray:
    from scipy.signal import lfilter

    for above, below in (_shelf(rate_hz), _high_pass(rate_hz)):
        waveform = lfilter(above, below, waveform)
    return waveform


def _shelf(rate_hz: int) -> tuple[list[float], list[float]]:
    """The high shelf, by the formulas of R. Bristow-Johnson's cookbook of audio filters."""
    gain_db, quality, frequency_hz = SHELF
    level, root, angle = 10 ** (gain_db / 40), 10 ** (gain_db / 80), 2 * math.pi * frequency_hz / rate_hz
    cosine, alpha = math.cos(angle), math.sin(angle) / (2 * quality)
    above = [
        level * ((level + 1) + (level - 1) * cosine + 2 * root * alpha),
        -2 * level * ((level - 1) + (level + 1) * cosine),
        level * ((level + 1) + (level - 1) * cosine - 2 * root * alpha),
    ]
    below = [
        (level + 1) - (level - 1) * cosine + 2 * root * alpha,
        2 * ((level - 1) - (level + 1) * cosine),
        (level + 1) - (level - 1) * cosine - 2 * root * alpha,
    ]
    return above, below


def _high_pass(rate_hz: int) -> tuple[list[float], list[float]]:
    quality, frequency_hz = HIGH_PASS
    angle = 2 * math.pi * frequency_hz / rate_hz
    cosine, alpha = math.cos(angle), math.sin(angle) / (2 * quality)
    return [(1 + cosine) / 2, -(1 + cosine), (1 + cosine) / 2], [1 + alpha, -2 * cosine, 1 - alpha]


def _block_powers(waveform: np.ndarray, rate_hz: int) -> np.ndarray:
    """The mean square of each block: (blocks,). What does not fill a last block is left out."""
    step_s = BLOCK_S / STEPS
    count = round((len(waveform) / rate_hz - BLOCK_S) / step_s) + 1
    starts = np.array([int(BLOCK_S * (index / STEPS) * rate_hz) for index in range(count)])
    ends = np.array([min(len(waveform), int(BLOCK_S * (index / STEPS + 1) * rate_hz)) for index in range(count)])
    sums = np.concatenate([[0.0], np.cumsum(np.square(waveform))])
    found: np.ndarray = (sums[ends] - sums[starts]) / (BLOCK_S * rate_hz)
    return found


def _power(lufs: float) -> float:
    return float(10 ** ((lufs - OFFSET) / 10))


def _lufs(power: float) -> float:
    return OFFSET + 10 * math.log10(power)
