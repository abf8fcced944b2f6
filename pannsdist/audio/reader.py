"""Opens a sound once, reads parts of it, mixes them to mono and resamples them: for training and for inference.

Axes: S samples of one channel, also called frames where there are several channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from pannsdist.audio.decoder import Decoder, DecodingError
from pannsdist.audio.encoded import SoundFile
from pannsdist.audio.loudness import LevelMeter, refusal
from pannsdist.audio.verdicts import BLOCK_VALUES, FLOATS, Examined, Verdict, examined, judge, level_fault, rate_fault
from pannsdist.contracts import Clip, EncodedSource, SampleSource, shown
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

    def level_fault(self, first: int, end: int) -> str:
        """Why no network may get these frames; empty if it may. Raises DecodingError."""
        ...

    def blocks(self, first: int, end: int, frames: int = 0) -> Iterator[np.ndarray]:
        """Frames `first` to `end`, so many at a time, else as many as fit: (S, channels). Once after opening.

        Raises DecodingError where they cannot be decoded.
        """
        ...


class _FileSource:
    """A sound file, decoded by libsndfile: WAV of 8 to 32 bit or float, FLAC, Ogg, MP3, and the like."""

    def __init__(self, file: SoundFile, decoder: Decoder, found: Examined) -> None:
        self._file, self._decoder, self._found = file, decoder, found
        self.verdict = found.verdict

    def level_fault(self, first: int, end: int) -> str:
        """See OpenSource. Only floats are decoded for it."""
        return level_fault(self._file, self._found, first, end) if self._decoder.subtype in FLOATS else ""

    def blocks(self, first: int, end: int, frames: int = 0) -> Iterator[np.ndarray]:
        """See OpenSource. `SoundFile.blocks` fills up with uninitialised memory where a file ends early."""
        at_most = max(1, BLOCK_VALUES // self._decoder.channels)
        frames = min(frames or at_most, at_most)
        self._decoder.seek(first, at_most)
        while first < end:
            block = self._decoder.read(min(frames, end - first))
            if len(block) == 0:
                raise DecodingError(f"it ends {end - first} samples before its length, or changes while it is read")
            first += len(block)
            yield block


class _ArraySource:
    """Samples in memory: (S,) or (S, channels)."""

    def __init__(self, samples: np.ndarray, rate_hz: float) -> None:
        self._samples = samples[:, None] if samples.ndim == 1 else samples
        self.verdict = Verdict(len(samples), rate_hz, len(samples) / rate_hz if rate_hz else 0.0)

    def level_fault(self, first: int, end: int) -> str:
        """See OpenSource."""
        return refusal(self._samples[first:end])

    def blocks(self, first: int, end: int, frames: int = 0) -> Iterator[np.ndarray]:
        """See OpenSource."""
        frames = frames or max(1, end - first)
        return (self._samples[at : min(end, at + frames)] for at in range(first, end, frames))


@contextmanager
def open_source(source: AudioInput | SampleSource, name: SourceName) -> Iterator[OpenSource]:
    """A source, opened once. Raises BadClip for what cannot be read, and CannotRead, both also within the block."""
    if isinstance(source, SoundFile):
        found = examined(source)
        if not found.verdict.is_readable:
            raise name.bad_clip(found.verdict.fault, how_to_read(Path(source.name)))
        try:
            with closing(Decoder(source, found.pieces)) as decoder:
                yield _FileSource(source, decoder, found)
        except DecodingError as error:
            raise name.bad_clip(str(error)) from error
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


def refuse_unusable(samples: np.ndarray, name: SourceName) -> None:
    """Raise BadClip for samples (S, channels) as decoded that no network may get."""
    if why := refusal(samples):
        raise name.bad_clip(why)


def missing_part(source: AudioInput) -> Verdict | None:
    """The verdict on an input of inference of which only a part can be read, else None. Raises nothing."""
    verdict = verdict_on(source)
    return verdict if verdict.is_readable and not verdict.is_whole else None


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
    """The seconds of an input of inference that can be read. Raises BadClip for a file that is no sound."""
    verdict = verdict_on(source)
    if not verdict.is_readable:
        raise input_name(source).bad_clip(verdict.fault or "it contains no samples")
    return verdict.length_s


def mono_blocks(source: AudioInput, rate_hz: int, meter: LevelMeter | None = None) -> Iterator[np.ndarray]:
    """The mono samples at `rate_hz`, some seconds at a time in constant memory: (S,) float32; `meter` measures them.

    Of a source that is not whole they are what can be read; `verdict_on` tells how much that is. Raises BadClip for a
    file that is no sound, for a sound without samples, and for what `loudness.refusal` refuses.
    """
    name = input_name(source)
    with open_source(source, name) as opened:
        verdict, meter = opened.verdict, meter or LevelMeter()
        if why := opened.level_fault(0, verdict.frames):
            raise name.bad_clip(why)
        blocks = opened.blocks(0, verdict.frames, max(1, round(BLOCK_S * verdict.rate_hz)))
        mono = checked_mono(blocks, name, meter)
        yield from meter.outputs(resampled_blocks(mono, verdict.rate_hz, rate_hz))


def checked_mono(blocks: Iterable[np.ndarray], name: SourceName, meter: LevelMeter) -> Iterator[np.ndarray]:
    """Blocks (S, channels) -> blocks (S,). Raises BadClip."""
    for block in blocks:
        refuse_unusable(block, name)
        mono = mix_to_mono(block)
        meter.add_channels(block, mono)
        yield mono


def resampled_blocks(blocks: Iterable[np.ndarray], own_hz: float, rate_hz: int) -> Iterator[np.ndarray]:
    """Blocks (S,), resampled without seams: concatenated they are the sound at `rate_hz`."""
    if own_hz == rate_hz:
        yield from blocks
        return
    import soxr

    resampler = soxr.ResampleStream(own_hz, rate_hz, 1, dtype="float32", quality=QUALITY)
    for block in blocks:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
