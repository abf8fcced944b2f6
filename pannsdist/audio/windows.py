"""Cuts a stream of samples into windows, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Window:
    """Samples `first` to `end` of a sound: `waveform` (S,) float32, which may be padded with silence behind `end`."""

    first: int
    end: int
    waveform: np.ndarray


class HeldSamples:
    """The last samples of a sound that arrives in blocks (S,): those that were not dropped, up to `end`."""

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = []
        self._first = self.end = 0

    def add(self, block: np.ndarray) -> None:
        """Hold a block, not a copy of it; many short ones are joined when a part is asked for."""
        self._blocks.append(block)
        self.end += len(block)

    def part(self, first: int, end: int) -> np.ndarray:
        """The samples `first` to `end` of the sound: (S,), perhaps a view."""
        if len(self._blocks) > 1:
            self._blocks = [np.concatenate(self._blocks)]
        held = self._blocks[0] if self._blocks else np.zeros(0, np.float32)
        return held[first - self._first : end - self._first]

    def drop(self, first: int) -> None:
        """Forget the samples before `first`."""
        self._blocks, self._first = [self.part(first, self.end)], first


class Cutter(Protocol):
    """Cuts a sound into windows while it arrives."""

    def add(self, block: np.ndarray) -> None:
        """Take the next samples (S,), which are not changed afterwards."""
        ...

    def ready(self) -> Iterator[Window]:
        """The windows that no later sample changes, each once."""
        ...

    def rest(self) -> Iterator[Window]:
        """The last window, after the last sample and the last of the others; none if these reach the end."""
        ...


class SlidingWindows:
    """A window of `window_samples` every `hop_samples` (at most a window); the last one ends where the sound ends.

    A sound shorter than a window gives one window of its own length, padded with silence to `min_samples`.
    """

    def __init__(self, window_samples: int, hop_samples: int, min_samples: int) -> None:
        self._window, self._hop, self._min = window_samples, hop_samples, min_samples
        self._held, self._next = HeldSamples(), 0

    def add(self, block: np.ndarray) -> None:
        """See Cutter."""
        self._held.add(block)

    def ready(self) -> Iterator[Window]:
        """See Cutter."""
        while self._held.end >= self._next + self._window:
            first = self._next
            self._held.drop(first)  # the last window of the sound begins behind this one
            self._next += self._hop
            yield Window(first, first + self._window, self._held.part(first, first + self._window))

    def rest(self) -> Iterator[Window]:
        """See Cutter."""
        end = self._held.end
        if end < self._window:
            short = self._held.part(0, end)
            yield Window(0, end, np.pad(short, (0, max(0, self._min - end))))
        elif end > self._next - self._hop + self._window:
            yield Window(end - self._window, end, self._held.part(end - self._window, end))


def cut(cutter: Cutter, blocks: Iterable[np.ndarray]) -> Iterator[Window]:
    """The windows of a whole sound."""
    for block in blocks:
        cutter.add(block)
        yield from cutter.ready()
    yield from cutter.rest()


def sliding_windows(
    blocks: Iterable[np.ndarray], window_samples: int, hop_samples: int, min_samples: int
) -> Iterator[Window]:
    """The `SlidingWindows` of a whole sound."""
    return cut(SlidingWindows(window_samples, hop_samples, min_samples), blocks)
