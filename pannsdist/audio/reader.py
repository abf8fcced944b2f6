"""Opens a sound once, reads parts of it, mixes them to mono and resamples them: for training and for inference.

Axes: S samples of one channel, also called frames where there are several channels.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pannsdist.audio.loudness import LevelMeter, refusal
from pannsdist.contracts import Clip, SampleSource, shown
from pannsdist.contracts.sound_files import how_to_read
from pannsdist.runtime.errors import BadClip

BLOCK_S = 10.0
QUALITY = "HQ"
"""Of soxr. Other qualities give other samples, so it is the same in training and in inference."""


@dataclass(frozen=True)
class Recording:
    """A sound in memory: samples (S,) or (S, channels), floats in [-1, 1], and its name in messages."""

    name: str
    samples: np.ndarray = field(repr=False, compare=False)
    rate_hz: float

    def __str__(self) -> str:
        return self.name


AudioInput = Path | Recording


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
    location = str(clip.source) if isinstance(clip.source, Path) else type(clip.source).__name__
    return SourceName(clip.id, location, "repair or remove it, or set data.on_bad_clip=skip to skip it")


def input_name(source: AudioInput) -> SourceName:
    """An input of inference, as errors name it."""
    location = str(source) if isinstance(source, Path) else "in memory"
    return SourceName(source.name, location, "repair it, or leave it out")


class OpenSource(Protocol):
    """An open source. Whatever else holds samples, such as a store of many clips in one file, becomes one of these."""

    @property
    def frames(self) -> int:
        """Its length; of a file, by its header."""
        ...

    @property
    def rate_hz(self) -> Any:
        """Its own sample rate, an int or a float."""
        ...

    def read(self, first: int, end: int) -> np.ndarray:
        """Frames `first` to `end`: (S, channels), fewer where the source ends before. Only one read after opening."""
        ...

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """All frames from the first one on, so many at a time: (S, channels)."""
        ...


class _FileSource:
    """A sound file, decoded by libsndfile: WAV of 8 to 32 bit or float, FLAC, Ogg, MP3, and the like."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.frames, self.rate_hz = len(file), file.samplerate

    def read(self, first: int, end: int) -> np.ndarray:
        """See OpenSource. A file that cannot seek, such as GSM 6.10 in WAV, is decoded from its start; once."""
        if self._file.seekable():
            self._file.seek(first)
        else:
            self._next(first)
        return self._next(end - first)

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """See OpenSource.

        `SoundFile.blocks` trusts the header: where the file ends before, it fills up with uninitialised memory
        (soundfile 0.14.0), and it raises for a file without seeking.
        """
        while len(block := self._next(frames)):
            yield block

    def _next(self, frames: int) -> np.ndarray:
        samples: np.ndarray = self._file.read(frames, dtype="float32", always_2d=True)
        return samples


class _ArraySource:
    """Samples in memory: (S,) or (S, channels)."""

    def __init__(self, samples: np.ndarray, rate_hz: float) -> None:
        self._samples = samples[:, None] if samples.ndim == 1 else samples
        self.frames, self.rate_hz = len(samples), rate_hz

    def read(self, first: int, end: int) -> np.ndarray:
        """See OpenSource."""
        return self._samples[first:end]

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """See OpenSource."""
        return (self._samples[first : first + frames] for first in range(0, self.frames, frames))


@contextmanager
def open_source(source: AudioInput | SampleSource, name: SourceName) -> Iterator[OpenSource]:
    """A source, opened once. Raises BadClip, also within the block, for a file that libsndfile cannot decode."""
    if isinstance(source, Recording):
        yield _ArraySource(source.samples, source.rate_hz)
    elif isinstance(source, Path):
        import soundfile

        try:
            with soundfile.SoundFile(os.fsencode(source)) as file:
                yield _FileSource(file)
        except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
            raise name.bad_clip(_reason(source, error)) from error
    else:
        samples, rate_hz = source.samples()
        yield _ArraySource(np.asarray(samples, np.float32), rate_hz)


def _reason(path: Path, error: Exception) -> str:
    """Why libsndfile could not read a file."""
    if not path.exists():
        return "there is no such file"
    if path.is_file() and path.stat().st_size == 0:
        return "the file is empty"
    if isinstance(error, PermissionError):
        return "permission to read it is denied"
    why = (getattr(error, "error_string", str(error)) or "no reason is given").splitlines()[0]
    return f"libsndfile cannot decode it ({why})" + (f"; {remedy}" if (remedy := how_to_read(path)) else "")


def clip_span(clip: Clip, source: OpenSource) -> tuple[int, int]:
    """(first, end) of the clip in frames of its source. Raises BadClip for a span outside the source."""
    frames, rate_hz = source.frames, source.rate_hz
    first = round(clip.start_s * rate_hz)
    end = frames if clip.duration_s is None else min(frames, first + round(clip.duration_s * rate_hz))
    if frames == 0:
        raise clip_name(clip).bad_clip("it contains no samples")
    if first < 0 or end <= first:
        span = f"{clip.start_s} s" + ("" if clip.duration_s is None else f" for {clip.duration_s} s")
        raise clip_name(clip).bad_clip(f"the span from {span} lies outside its {frames / rate_hz:.3f} s")
    return first, end


def refuse_unusable(samples: np.ndarray, name: SourceName) -> None:
    """Raise BadClip for samples (S, channels) as decoded that no network may get."""
    if why := refusal(samples):
        raise name.bad_clip(why)


def mix_to_mono(samples: np.ndarray) -> np.ndarray:
    """The mean of the channels: (S, channels) -> (S,) float32."""
    if samples.shape[1] == 1:
        return samples[:, 0].astype(np.float32, copy=False)
    mono: np.ndarray = samples.mean(axis=1, dtype=np.float32)
    return mono


def resample(waveform: np.ndarray, own_hz: float, rate_hz: int) -> np.ndarray:
    """(S,) -> (S',) float32 at `rate_hz`, by soxr in one call."""
    if own_hz == rate_hz:
        return np.ascontiguousarray(waveform)
    import soxr

    resampled: np.ndarray = soxr.resample(waveform, own_hz, rate_hz, quality=QUALITY)
    return resampled.astype(np.float32, copy=False)


def duration_s(source: AudioInput) -> float:
    """The length of an input of inference; of a file, by its header. Raises BadClip for a file that is no sound."""
    with open_source(source, input_name(source)) as opened:
        return float(opened.frames / opened.rate_hz)


def mono_blocks(source: AudioInput, rate_hz: int, meter: LevelMeter | None = None) -> Iterator[np.ndarray]:
    """The mono samples at `rate_hz`, some seconds at a time in constant memory: (S,) float32; `meter` measures them.

    Raises BadClip for a file that is no sound, for a sound without samples, and for what `loudness.refusal` refuses.
    """
    name = input_name(source)
    with open_source(source, name) as opened:
        blocks = opened.blocks(max(1, round(BLOCK_S * opened.rate_hz)))
        meter = meter or LevelMeter()
        mono = _checked_mono(blocks, name, meter)
        yield from meter.outputs(_resampled_blocks(mono, opened.rate_hz, rate_hz))


def _checked_mono(blocks: Iterable[np.ndarray], name: SourceName, meter: LevelMeter) -> Iterator[np.ndarray]:
    """Blocks (S, channels) -> blocks (S,). Raises BadClip."""
    is_empty = True
    for block in blocks:
        refuse_unusable(block, name)
        mono = mix_to_mono(block)
        meter.add_channels(block, mono)
        is_empty = False
        yield mono
    if is_empty:
        raise name.bad_clip("it contains no samples")


def _resampled_blocks(blocks: Iterable[np.ndarray], own_hz: float, rate_hz: int) -> Iterator[np.ndarray]:
    """Blocks (S,), resampled without seams: concatenated they are the sound at `rate_hz`."""
    if own_hz == rate_hz:
        yield from blocks
        return
    import soxr

    resampler = soxr.ResampleStream(own_hz, rate_hz, 1, dtype="float32", quality=QUALITY)
    for block in blocks:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
