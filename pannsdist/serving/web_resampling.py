"""soxr's resampler as filters that a browser applies: measured from soxr itself, for one pair of rates at a time.

For a fixed ratio soxr is linear, and its response repeats after `phases` samples of the result: impulses give all of
it. A sum over these taps is soxr's result to 1e-6, but for the first samples, where soxr starts its filters (0.1.3 of
libsoxr): those are measured from the start of a sound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import soxr

from pannsdist.audio.chunks import QUALITY

RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 192000)
"""Those of sound files, of which a page takes the ones whose filters are small enough."""
REACH_SAMPLES = 112
"""At the lower one of the two rates, to either side: soxr's HQ is below 1e-7 beyond 103."""
START_SAMPLES = 96
"""Measured from the start: up to 70 differ from the taps by more than 1e-6, where soxr first halves the rate."""
MAX_TAPS = 1 << 19
"""Of all phases together, 2 MB as float32."""


@dataclass(frozen=True)
class ResamplingTaps:
    """Sample j of the result is the sum over k of `taps[j % phases, k] * frame[j * step // phases - reach + 1 + k]`.

    `taps` (phases, 2 * reach) and `start` (samples, frames) are float32. The first samples are `start` times the first
    frames. Frames before and behind the sound are zero.
    """

    own_hz: int
    phases: int
    step: int
    reach: int
    taps: np.ndarray
    start: np.ndarray


def is_small(own_hz: int, rate_hz: int) -> bool:
    """Whether the filters of a pair of rates are small enough to be sent to a browser."""
    phases, _, reach = _ratio(own_hz, rate_hz)
    return own_hz != rate_hz and phases * 2 * reach <= MAX_TAPS


def measured_taps(own_hz: int, rate_hz: int) -> ResamplingTaps:
    """The filters from `own_hz` to `rate_hz`."""
    phases, step, reach = _ratio(own_hz, rate_hz)
    periods = -(-reach // step) + 1
    first = np.arange(phases) * step // phases - reach + 1 + periods * step
    low, high = int(first.min()), int(first.max()) + 2 * reach
    responses = _responses(own_hz, rate_hz, high + 2 * reach, range(low, high))
    wanted = responses[phases * periods : phases * (periods + 1)]
    columns = first[:, None] + np.arange(2 * reach) - low
    taps = np.take_along_axis(wanted, columns, axis=1)
    frames = START_SAMPLES * step // phases + reach + 1
    start = _responses(own_hz, rate_hz, frames + 2 * reach, range(frames))[:START_SAMPLES]
    return ResamplingTaps(own_hz, phases, step, reach, taps, start)


def _ratio(own_hz: int, rate_hz: int) -> tuple[int, int, int]:
    """(phases, step, reach): the result has `phases` samples for `step` frames."""
    common = math.gcd(own_hz, rate_hz)
    return rate_hz // common, own_hz // common, -(-REACH_SAMPLES * own_hz // min(own_hz, rate_hz))


def _responses(own_hz: int, rate_hz: int, frames: int, places: range) -> np.ndarray:
    """What impulses at some places of a sound of so many frames become: (samples, places)."""
    found = []
    for some in np.array_split(np.array(places), -(-len(places) // 64)):
        impulses = np.zeros((frames, len(some)), np.float32)
        impulses[some, np.arange(len(some))] = 1.0
        found.append(soxr.resample(impulses, own_hz, rate_hz, quality=QUALITY))
    return np.concatenate(found, axis=1)
