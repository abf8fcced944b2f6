"""Sounds at the sample rate of a network, mono: for training and for inference, the same samples to the last bit.

Axes: S samples at the network's rate; frames are samples of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import starmap
from typing import Protocol

import numpy as np

from pannsdist.audio.chunks import Chunks
from pannsdist.audio.loudness import FULL_SCALE_LIMIT, LevelMeter, refusal
from pannsdist.audio.reader import AudioInput, OpenSource, SourceName, input_name, open_source
from pannsdist.contracts import Clip, SampleSource

Observer = Callable[[np.ndarray, np.ndarray], None]
"""Gets every frame of a sound once: a block (frames, channels) as decoded, and its mean over the channels (frames,)."""


class OpenSound(Protocol):
    """An open sound at a sample rate. A cache of chunks is one of these as well."""

    @property
    def source(self) -> OpenSource:
        """What it is read from: its length and its own rate, and its levels."""
        ...

    @property
    def samples(self) -> int:
        """Its length in samples of the network."""
        ...

    def part(self, first: int, end: int) -> np.ndarray:
        """Its samples `first` to `end`: (S,) float32, which the caller may change. Raises BadClip."""
        ...


class DecodedSound:
    """An `OpenSound`, chunk by chunk from its source; only the chunks that a part touches are read.

    Without resampling a chunk is what its frames are, so only the frames of the part are read.
    """

    def __init__(self, source: OpenSource, name: SourceName, rate_hz: int) -> None:
        self.source, self._name = source, name
        self.chunks = Chunks(source.verdict.frames, source.verdict.rate_hz, rate_hz)
        self.samples = self.chunks.samples
        self._kept_from, self._kept = 0, np.zeros(0, np.float32)
        self._observe: Observer | None = None
        self._unseen, self._observed_end = 0, 0

    def observe(self, first: int, end: int, observer: Observer) -> None:
        """Show the frames `first` to `end` to an observer, in order, when parts are read in order."""
        self._unseen, self._observed_end, self._observe = first, end, observer

    def chunk(self, index: int) -> np.ndarray:
        """A chunk: (S,) float32. Raises BadClip for one that cannot be decoded, or has no levels of a sound."""
        window = self.chunks.window(index)
        return self.chunks.resampled(index, self._mono(window.first, window.end))

    def part(self, first: int, end: int) -> np.ndarray:
        """See OpenSound."""
        if self.source.is_exact and not self.chunks.is_resampled:
            return self._mono(first, end)
        parts = list(self.parts(first, end))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def parts(self, first: int, end: int) -> Iterator[np.ndarray]:
        """As `part`, what it has of each chunk after the other, in constant memory."""
        return starmap(self._of_chunk, self.chunks.touched(first, end))

    def _of_chunk(self, index: int, first: int, end: int) -> np.ndarray:
        """The samples `first` to `end`, which are all in one chunk."""
        start, _ = self.chunks.bounds(index)
        if self.chunks.is_resampled:
            return self.chunk(index)[first - start : end - start]
        return self._mono(first, end) if self.source.is_exact else self._mono(start, end)[first - start :]

    def _mono(self, first: int, end: int) -> np.ndarray:
        """Frames as decoded, mixed to mono: (frames,). What the frames before have in common with them is kept."""
        at, parts = first, []
        kept_end = self._kept_from + len(self._kept)
        if self.source.is_exact and self._kept_from <= first < kept_end <= end:
            parts.append(self._kept[first - self._kept_from :])
            at = kept_end
        for block in self.source.blocks(at, end):
            parts.append(self._checked(at, block))
            at += len(block)
        mono = parts[0] if len(parts) == 1 else np.concatenate([*parts, np.zeros(0, np.float32)])
        if self.chunks.is_resampled:  # else nothing is in common
            self._kept_from, self._kept = first, mono
        return mono

    def _checked(self, first: int, block: np.ndarray) -> np.ndarray:
        """A block of frames (frames, channels) -> (frames,). Raises BadClip for levels that are refused.

        Where the levels of a clip are known before, those that are refused are in other parts of its file: they count
        as silence, so that they do not reach the clip through the filter of the resampler.
        """
        if why := refusal(block):
            if not self.source.is_examined:
                raise self._name.bad_clip(why)
            block[~(np.abs(block) <= FULL_SCALE_LIMIT)] = 0.0
        mono = mix_to_mono(block)
        start, end = max(first, self._unseen), min(first + len(block), self._observed_end)
        if self._observe is not None and start < end:
            self._observe(block[start - first : end - first], mono[start - first : end - first])
            self._unseen = end
        return mono


@contextmanager
def open_sound(source: AudioInput | SampleSource, name: SourceName, rate_hz: int) -> Iterator[DecodedSound]:
    """A sound at `rate_hz`. Raises BadClip for what cannot be read, also within the block."""
    with open_source(source, name) as opened:
        yield DecodedSound(opened, name, rate_hz)


def clip_part(clip: Clip, sound: OpenSound, rate_hz: int) -> tuple[int, int]:
    """(first, end) of a clip in samples of its sound, both the nearest ones, of a clip that `clip_span` accepts.

    A segment is cut out of the chunks of its file, so its first and last samples are those of the file, which the
    filter of the resampler has smoothed together with their neighbours outside of the segment.
    """
    samples, first = sound.samples, min(sound.samples, round(clip.start_s * rate_hz))
    end = samples if clip.duration_s is None else min(samples, first + round(clip.duration_s * rate_hz))
    return first, max(first, end)


def mix_to_mono(samples: np.ndarray) -> np.ndarray:
    """The mean of the channels: (S, channels) -> (S,) float32."""
    if samples.shape[1] == 1:
        return samples[:, 0].astype(np.float32, copy=False)
    mono: np.ndarray = samples.mean(axis=1, dtype=np.float32)
    return mono


def mono_blocks(source: AudioInput, rate_hz: int, meter: LevelMeter | None = None) -> Iterator[np.ndarray]:
    """The mono samples at `rate_hz`, some seconds at a time in constant memory: (S,) float32; `meter` measures them.

    Of a source that is not whole they are what can be read; `verdict_on` tells how much that is. Raises BadClip for a
    file that is no sound, for a sound without samples, and for what `loudness.refusal` refuses.
    """
    name = input_name(source)
    with open_sound(source, name, rate_hz) as sound:
        frames, meter = sound.source.verdict.frames, meter or LevelMeter()
        if why := sound.source.level_fault(0, frames):
            raise name.bad_clip(why)
        sound.observe(0, frames, meter.add_channels)
        yield from meter.outputs(sound.parts(0, sound.samples))
