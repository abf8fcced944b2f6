"""The sound of a file at the sample rate of a network, defined as chunks that are resampled one by one.

A chunk is a pure function of its file and its index: one call of the resampler on the chunk's own window of the file,
which begins at a frame that coincides with a sample of the result and has the filter's margin on both sides. So a crop
has the same bits whatever was read before, from a file or from a cache of chunks, in training and in inference.
Concatenated, chunks equal the whole file resampled at once to 1e-6.

Axes: S samples at the network's rate; frames are samples of the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

CHUNK_S = 10
"""A whole number, so that every chunk begins at a whole frame of a file, whatever its rate is."""
MARGIN_SAMPLES = 256
"""At the lower one of the two rates; the filter of soxr's HQ reaches less far than 160 of them."""
QUALITY = "HQ"
"""Of soxr. Other qualities give other samples, so it is the same in training and in inference."""


@dataclass(frozen=True)
class Window:
    """The frames `first` to `end` of a file; resampled, the chunk follows behind `skipped` samples."""

    first: int
    end: int
    skipped: int


@dataclass(frozen=True)
class Chunks:
    """The chunks of a sound of so many frames at `own_hz`, read at `rate_hz`.

    Each has `CHUNK_S` seconds, the last one half as many to half as many more. A sound in memory whose rate is no whole
    number is one chunk.
    """

    frames: int
    own_hz: float
    rate_hz: int

    @cached_property
    def is_resampled(self) -> bool:
        """Whether the two rates differ."""
        return self.own_hz != self.rate_hz

    @cached_property
    def samples(self) -> int:
        """The length of the sound at `rate_hz`, as soxr rounds it."""
        return math.floor(self.frames * self.rate_hz / self.own_hz + 0.5) if self.is_resampled else self.frames

    @cached_property
    def count(self) -> int:
        """The number of chunks, at least 1."""
        size = self._size
        return max(1, (self.samples + size // 2) // size) if self.own_hz == int(self.own_hz) else 1

    def bounds(self, index: int) -> tuple[int, int]:
        """(first, end) of a chunk in samples of the sound."""
        is_last = index == self.count - 1
        return index * self._size, self.samples if is_last else (index + 1) * self._size

    def window(self, index: int) -> Window:
        """The frames of which a chunk is made."""
        first, end = self.bounds(index)
        if not self.is_resampled:
            return Window(first, end, 0)
        if self.count == 1:
            return Window(0, self.frames, 0)
        own_hz = int(self.own_hz)
        period = own_hz // math.gcd(own_hz, self.rate_hz)  # frames from one that is also a sample to the next one
        margin = -(-MARGIN_SAMPLES * own_hz // min(own_hz, self.rate_hz))
        aligned = -(-margin // period) * period
        start = max(0, first * own_hz // self.rate_hz - aligned)
        stop = self.frames if index == self.count - 1 else -(-end * own_hz // self.rate_hz) + margin
        return Window(start, min(self.frames, stop), first - start * self.rate_hz // own_hz)

    def resampled(self, index: int, mono: np.ndarray) -> np.ndarray:
        """The chunk, (S,) float32, of the frames of its window, (frames,) float32."""
        if not self.is_resampled:
            return mono
        import soxr

        first, end = self.bounds(index)
        skipped = self.window(index).skipped
        found: np.ndarray = soxr.resample(mono, self.own_hz, self.rate_hz, quality=QUALITY)
        return found[skipped : skipped + end - first]

    def touched(self, first: int, end: int) -> Iterator[tuple[int, int, int]]:
        """(index, first, end) of each chunk that the samples `first` to `end` touch, and which of them are in it.

        At least one; first and end are counted from the start of the sound.
        """
        last = self.count - 1
        for index in range(min(last, first // self._size), min(last, max(first, end - 1) // self._size) + 1):
            start, stop = self.bounds(index)
            yield index, max(first, start), min(end, stop)

    def cut(self, first: int, end: int, chunk: Callable[[int], np.ndarray]) -> np.ndarray:
        """The samples `first` to `end` of the sound, (S,), out of the chunks that `chunk` gives; perhaps a view."""
        size = self._size
        parts = [
            chunk(index)[low - index * size : high - index * size] for index, low, high in self.touched(first, end)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    @cached_property
    def _size(self) -> int:
        return CHUNK_S * self.rate_hz


def resample(waveform: np.ndarray, own_hz: float, rate_hz: int) -> np.ndarray:
    """A sound in memory, (frames,) float -> (S,) float32 at `rate_hz`, chunk by chunk."""
    chunks = Chunks(len(waveform), own_hz, rate_hz)
    waveform = np.ascontiguousarray(waveform, np.float32)

    def chunk(index: int) -> np.ndarray:
        window = chunks.window(index)
        return chunks.resampled(index, waveform[window.first : window.end])

    return chunks.cut(0, chunks.samples, chunk)
