"""Cuts a stream of samples into windows, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Window:
    """Samples `first` to `end` of a sound: `waveform` (S,) float32, which may be padded with silence behind `end`."""

    first: int
    end: int
    waveform: np.ndarray


def sliding_windows(
    blocks: Iterable[np.ndarray], window_samples: int, hop_samples: int, min_samples: int
) -> Iterator[Window]:
    """A window of `window_samples` every `hop_samples` (at most a window); the last one ends where the sound ends.

    A sound shorter than a window gives one window of its own length, padded with silence to `min_samples`.
    """
    pending = np.zeros(0, np.float32)
    tail = np.zeros(0, np.float32)
    first = total = end = 0
    for block in blocks:
        pending, total = np.concatenate([pending, block]), total + len(block)
        tail = np.concatenate([tail, block])[-window_samples:]
        while len(pending) >= window_samples:
            end = first + window_samples
            yield Window(first, end, pending[:window_samples])
            pending, first = pending[hop_samples:], first + hop_samples
    if total < window_samples:
        yield Window(0, total, np.pad(tail, (0, max(0, min_samples - total))))
    elif end < total:
        yield Window(total - window_samples, total, tail)


def aligned_windows(blocks: Iterable[np.ndarray], window_samples: int, hop_samples: int) -> Iterator[Window]:
    """A window of `window_samples` every `hop_samples`, each at a multiple of the hop; the last one is the remainder.

    The remainder is longer than the overlap of two windows, unless the sound itself is shorter.
    """
    pending, first = np.zeros(0, np.float32), 0
    for block in blocks:
        pending = np.concatenate([pending, block])
        while len(pending) > window_samples:
            yield Window(first, first + window_samples, pending[:window_samples])
            pending, first = pending[hop_samples:], first + hop_samples
    yield Window(first, first + len(pending), pending)
