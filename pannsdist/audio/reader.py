"""Opens a sound once and reads parts of it, as it is stored: for training and for inference.

Axes: S frames, which are samples of all channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from pannsdist.audio.av_decoder import AvDecoder
from pannsdist.audio.decoder import Decoder, DecodingError
from pannsdist.audio.encoded import SoundFile
from pannsdist.audio.loudness import refusal
from pannsdist.audio.verdicts import (
    BLOCK_VALUES,
    Examined,
    Verdict,
    decoder_of,
    examined,
    judge,
    level_fault,
    rate_fault,
)
from pannsdist.contracts import Clip, EncodedSource, SampleSource, shown
from pannsdist.contracts.sound_files import how_to_read
from pannsdist.runtime.errors import BadClip


@dataclass(frozen=True)
class Recording:
    """A sound in memory: samples (S,) or (S, channels), floats in [-1, 1], and its name in messages."""

    name: str
    samples: np.ndarray = field(repr=False, compare=False)
    rate_hz: float

    def __str__(self) -> str:
        return self.name


AudioInput = Path | EncodedSource | Recording


@dataclass(frozen=True)
class SourceName:
    """How an error names a source: the clip's id, its location, and a remedy."""

    id: str
    location: str
    remedy: str

    def bad_clip(self, why: str, hint: str = "") -> BadClip:
        """The error for this source; `hint` is a second remedy."""
        what = f"clip '{shown(self.id)}' ({shown(self.location)})"
        return BadClip(f"{what}: {why}", "\n".join(filter(None, (self.remedy, hint))))


def clip_name(clip: Clip) -> SourceName:
    """A clip of a dataset, as errors name it."""
    location = str(clip.source) if isinstance(clip.source, SoundFile) else type(clip.source).__name__
    return SourceName(clip.id, location, "repair or remove it, or set data.on_bad_clip=skip to skip it")


def input_name(source: AudioInput) -> SourceName:
    """An input of inference, as errors name it."""
    location = "in memory" if isinstance(source, Recording) else str(source)
    return SourceName(source.name, location, "repair it, or leave it out")


class OpenSource(Protocol):
    """An open source. Whatever else holds samples, such as a store of many clips in one file, becomes one of these."""

    @property
    def verdict(self) -> Verdict:
        """Its length and its own sample rate, and what is missing of it."""
        ...

    @property
    def is_exact(self) -> bool:
        """Whether a frame has the same bits wherever reading began. Else they depend on where it did."""
        ...

    @property
    def is_examined(self) -> bool:
        """Whether `level_fault` looks at every frame; else it knows nothing, and who reads must look."""
        ...

    def level_fault(self, first: int, end: int) -> str:
        """Why no network may get these frames; empty if it may. Raises DecodingError."""
        ...

    def blocks(self, first: int, end: int) -> Iterator[np.ndarray]:
        """Frames `first` to `end`, as many at a time as fit: (S, channels) float32, which the caller may change.

        Cheap where `first` is the end of what was read before. Raises DecodingError where they cannot be decoded.
        """
        ...


class _FileSource:
    """A sound file, decoded by libsndfile, or by PyAV what that does not read.

    It is opened when the first frames are read, and again where its decoder cannot go back.
    """

    def __init__(self, file: SoundFile, found: Examined) -> None:
        self._file, self._found = file, found
        self._decoder: Decoder | AvDecoder | None = None
        self.verdict, self.is_exact, self.is_examined = found.verdict, found.access.is_exact, found.has_floats

    def level_fault(self, first: int, end: int) -> str:
        """See OpenSource. Only floats are decoded for it."""
        return level_fault(self._file, self._found, first, end) if self.is_examined else ""

    def blocks(self, first: int, end: int) -> Iterator[np.ndarray]:
        """See OpenSource. `SoundFile.blocks` fills up with uninitialised memory where a file ends early."""
        decoder = self._at(first)
        frames = _fitting(decoder.channels)
        while first < end:
            block = decoder.read(min(frames, end - first))
            if len(block) == 0:
                raise DecodingError(f"it ends {end - first} samples before its length, or changes while it is read")
            first += len(block)
            yield block

    def close(self) -> None:
        """Close the file."""
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None

    def _at(self, frame: int) -> Decoder | AvDecoder:
        """The decoder, at a frame."""
        access = self._found.access
        if self._decoder is not None and not access.goes_on(self._decoder.position, frame):
            self.close()
        if self._decoder is None:
            self._decoder = decoder_of(self._file, self._found)
        access.advance(self._decoder, frame, _fitting(self._decoder.channels))
        return self._decoder


class _ArraySource:
    """Samples in memory: (S,) or (S, channels)."""

    is_exact = is_examined = True

    def __init__(self, samples: np.ndarray, rate_hz: float) -> None:
        self._samples = samples[:, None] if samples.ndim == 1 else samples
        self.verdict = Verdict(len(samples), rate_hz, len(samples) / rate_hz if rate_hz else 0.0)

    def level_fault(self, first: int, end: int) -> str:
        """See OpenSource."""
        return refusal(self._samples[first:end])

    def blocks(self, first: int, end: int) -> Iterator[np.ndarray]:
        """See OpenSource."""
        frames = _fitting(self._samples.shape[1])
        for at in range(first, end, frames):
            yield np.array(self._samples[at : min(end, at + frames)], np.float32)


def _fitting(channels: int) -> int:
    """Frames of a block."""
    return max(1, BLOCK_VALUES // max(1, channels))


@contextmanager
def open_source(source: AudioInput | SampleSource, name: SourceName) -> Iterator[OpenSource]:
    """A source, opened once. Raises BadClip for what cannot be read, and CannotRead, both also within the block."""
    if isinstance(source, SoundFile):
        found = examined(source)
        if not found.verdict.is_readable:
            raise name.bad_clip(found.verdict.fault, how_to_read(Path(source.name)))
        file = _FileSource(source, found)
        try:
            yield file
        except DecodingError as error:
            raise name.bad_clip(str(error)) from error
        finally:
            file.close()
        return
    samples, rate_hz = (source.samples, source.rate_hz) if isinstance(source, Recording) else source.samples()
    if fault := rate_fault(rate_hz):
        raise name.bad_clip(fault)
    if len(samples) == 0:
        raise name.bad_clip("it contains no samples")
    yield _ArraySource(samples if isinstance(source, Recording) else np.asarray(samples, np.float32), rate_hz)


def verdict_on(source: AudioInput) -> Verdict:
    """The verdict on an input of inference. Raises CannotRead."""
    return judge(source) if isinstance(source, SoundFile) else _ArraySource(source.samples, source.rate_hz).verdict


def clip_span(clip: Clip, source: OpenSource) -> tuple[int, int]:
    """(first, end) of the clip in frames of its source, both the nearest ones.

    Raises BadClip for a source that is not whole, wherever the clip lies in it, for a span outside the source, and for
    one whose levels are refused, wherever in it they are.
    """
    verdict = source.verdict
    if not verdict.is_whole:
        raise clip_name(clip).bad_clip(str(verdict))
    frames, rate_hz = verdict.frames, verdict.rate_hz
    first = round(clip.start_s * rate_hz)
    end = frames if clip.duration_s is None else min(frames, first + round(clip.duration_s * rate_hz))
    if first < 0 or end <= first:
        span = f"{clip.start_s} s" + ("" if clip.duration_s is None else f" for {clip.duration_s} s")
        raise clip_name(clip).bad_clip(f"the span from {span} lies outside its {frames / rate_hz:.3f} s")
    if why := source.level_fault(first, end):
        raise clip_name(clip).bad_clip(why)
    return first, end


def missing_part(source: AudioInput) -> Verdict | None:
    """The verdict on an input of inference of which only a part can be read, else None. Raises CannotRead."""
    verdict = verdict_on(source)
    return verdict if verdict.is_readable and not verdict.is_whole else None


def duration_s(source: AudioInput) -> float:
    """The seconds of an input of inference that can be read. Raises BadClip for a file that is no sound."""
    verdict = verdict_on(source)
    if not verdict.is_readable:
        raise input_name(source).bad_clip(verdict.fault or "it contains no samples")
    return verdict.length_s
