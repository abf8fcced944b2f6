"""One verdict on each sound file, for the check of a dataset, for training, evaluation and inference alike."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from weakref import WeakKeyDictionary

import numpy as np

from pannsdist.audio.av_decoder import AvDecoder
from pannsdist.audio.containers.families import layout
from pannsdist.audio.containers.layout import Layout, Piece
from pannsdist.audio.decoder import Decoder, DecodingError
from pannsdist.audio.encoded import (
    NoSoundFile,
    PassingSound,
    SoundFile,
    ending,
    no_sound_file,
    opened,
    state_of,
)
from pannsdist.audio.loudness import refusal
from pannsdist.audio.seeking import FROM_START, Access, access
from pannsdist.contracts import SourceState

MIN_RATE_HZ, MAX_RATE_HZ = 1000, 768_000
MAX_CHANNELS = 256
BLOCK_VALUES = 1 << 22
"""Values that are decoded at a time, of all channels together: 16 MB. No header makes a reader ask for more."""
FLOATS = ("FLOAT", "DOUBLE", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be")
"""Codings whose samples may have any level."""
COUNTED_VALUES = 1 << 10
"""Values at a time when they are counted, so that what stands before a damaged part is not lost with it."""
REMEMBERED = 1 << 16
"""Files whose verdict a process keeps, so that an epoch does not examine them again."""
EXACT = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_", "MS_", "VORBIS", "OPUS", "MPEG_")
"""Codings that can be decoded wherever the container is whole, and in which libsndfile can seek to the last sample.

The others are decoded once, to see that they can be."""


@dataclass(frozen=True)
class Verdict:
    """How much of a sound file can be read.

    `frames` can be read. `fault` is why these are not all, or, if they are none, why the file cannot be used. `whole_s`
    is how long the sound would be without the fault, None if that is not known.
    """

    frames: int = 0
    rate_hz: float = 0.0
    whole_s: float | None = None
    fault: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether the sound can be read to its end."""
        return not self.fault

    @property
    def is_readable(self) -> bool:
        """Whether at least a part can be read."""
        return self.frames > 0

    @property
    def length_s(self) -> float:
        """The seconds that can be read."""
        return self.frames / self.rate_hz if self.rate_hz else 0.0

    @property
    def record(self) -> dict[str, float | str | None]:
        """The verdict on an incomplete file, for JSON."""
        whole_s = None if self.whole_s is None else round(self.whole_s, 3)
        return {"read_s": round(self.length_s, 3), "whole_s": whole_s, "reason": self.fault}

    def __str__(self) -> str:
        """The verdict, for messages; empty for a whole file."""
        if self.is_whole or not self.is_readable:
            return self.fault
        of = f" of {self.whole_s:.2f} s" if self.whole_s is not None else " s of an unknown length"
        return f"{self.length_s:.2f}{of} could be read ({self.fault})"


def rate_fault(rate_hz: float) -> str:
    """Why a sample rate is refused; empty for one within the bounds."""
    if MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        return ""
    return f"its sample rate is {rate_hz:g} Hz; allowed: {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz"


def judge(source: SoundFile) -> Verdict:
    """The verdict on a file; remembered in this process as long as its state stays. Raises CannotRead."""
    return examined(source).verdict


@dataclass(frozen=True)
class Examined:
    """A verdict, how the file is read, and the pieces with which the decoder opens it, if it needs any.

    `level_faults` are those of spans of the file that were looked at, by (first, end); see `level_fault`.
    """

    verdict: Verdict
    pieces: tuple[Piece, ...] = ()
    form: str = ""
    access: Access = FROM_START
    has_floats: bool = False
    level_faults: dict[tuple[int, int], str] = field(default_factory=dict, compare=False)


def examined(source: SoundFile) -> Examined:
    """Like `judge`, with what `Decoder` needs. Only answers are remembered: that nothing can be read may pass."""
    try:
        if not isinstance(source, PassingSound):
            return _examined(source, state_of(source))
        if (known := _PASSING.get(source)) is None:
            known = _PASSING[source] = _examine(source)
        return known
    except NoSoundFile as error:
        return Examined(Verdict(fault=str(error)))


def level_fault(source: SoundFile, found: Examined, first: int, end: int) -> str:
    """Why no network may get the frames `first` to `end` of a file, by `loudness.refusal`; empty if it may.

    All of them are decoded, so that the verdict on a clip does not depend on the crop that is taken from it; the answer
    is remembered with the verdict on the file. Raises DecodingError.
    """
    span = first, end
    if span not in found.level_faults:
        with closing(decoder_of(source, found)) as decoder:
            found.level_faults[span] = _level_fault(decoder, found.access, first, end)
    return found.level_faults[span]


def decoder_of(source: SoundFile, found: Examined | Layout) -> Decoder | AvDecoder:
    """The decoder of a file. Raises DecodingError and CannotRead."""
    return AvDecoder(source, found.form) if found.form else Decoder(source, found.pieces)


def _level_fault(decoder: Decoder | AvDecoder, access: Access, first: int, end: int) -> str:
    peaks, at_most = [0.0], max(1, BLOCK_VALUES // decoder.channels)
    access.advance(decoder, first, at_most)
    while first < end and len(block := decoder.read(min(at_most, end - first))):
        peaks.append(float(np.abs(block).max()))
        first += len(block)
    return refusal(np.array(peaks))


@lru_cache(REMEMBERED)
def _examined(source: SoundFile, _state: SourceState) -> Examined:
    """`_examine`, remembered by what is compared of a source. Raises NoSoundFile and CannotRead."""
    return _examine(source)


_PASSING: WeakKeyDictionary[PassingSound, Examined] = WeakKeyDictionary()
"""What is known of sounds that are equal to themselves only, as long as they exist."""


def _examine(source: SoundFile) -> Examined:
    """Examine a file. Raises NoSoundFile and CannotRead."""
    found = _layout(source)
    try:
        return _judged(source, found)
    except DecodingError as error:
        raise NoSoundFile(str(error)) from error


def _layout(source: SoundFile) -> Layout:
    """Raises NoSoundFile and CannotRead. The size is that of the bytes: a state may have that of a whole table."""
    try:
        with opened(source) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if size == 0:
                raise NoSoundFile("the file is empty")
            return layout(file, size, ending(source))
    except (OSError, ValueError) as error:
        raise no_sound_file(source, error) from error


def _judged(source: SoundFile, found: Layout) -> Examined:
    """Raises NoSoundFile, DecodingError and CannotRead."""
    decoder, pieces = _opened(source, found)
    with closing(decoder):
        _refuse_bounds(decoder)
        frames, promised_frames, rate_hz = decoder.frames, decoder.frames, decoder.rate_hz
        way, has_floats = access(decoder, not found.fault, found.last_page_s), decoder.subtype in FLOATS
        is_exact = not found.fault and not found.unknown and _is_exact(decoder)
    fault, whole_s = found.fault, found.whole_s
    if not is_exact:
        with closing(AvDecoder(source, found.form) if found.form else Decoder(source, pieces)) as again:
            frames, error = _counted(again)
            way = way.with_landmarks(again.landmarks)
        if error and not fault:
            fault, whole_s = error, max(whole_s or 0.0, promised_frames / rate_hz)
    if frames <= 0:
        raise NoSoundFile("it contains no samples" + (f" that can be read ({fault})" if fault else ""))
    length_s = frames / rate_hz
    if not fault:
        return Examined(Verdict(frames, rate_hz, length_s), pieces, found.form, way, has_floats)
    if found.promised is not None:
        whole_s = length_s * found.promised
    if whole_s is not None and whole_s <= length_s:
        whole_s = None
    return Examined(Verdict(frames, rate_hz, whole_s, fault), pieces, found.form, has_floats=has_floats)


def _opened(source: SoundFile, found: Layout) -> tuple[Decoder | AvDecoder, tuple[Piece, ...]]:
    """The decoder, of the file itself where that gives the number of frames that were counted. Raises DecodingError."""
    if not found.pieces:
        return decoder_of(source, found), ()
    if found.frames is not None:
        try:
            decoder = Decoder(source)
        except DecodingError:
            return Decoder(source, found.pieces), found.pieces
        if decoder.frames == found.frames:
            return decoder, ()
        decoder.close()
    return Decoder(source, found.pieces), found.pieces


def _refuse_bounds(decoder: Decoder | AvDecoder) -> None:
    """Raise NoSoundFile, also for what libsndfile takes for samples without a header because of its ending."""
    if decoder.format == "RAW":
        raise NoSoundFile("it has no header of a sound file that libsndfile knows")
    if refusal := rate_fault(decoder.rate_hz):
        raise NoSoundFile(refusal)
    if not 1 <= decoder.channels <= MAX_CHANNELS:
        raise NoSoundFile(f"it has {decoder.channels} channels; allowed: 1 to {MAX_CHANNELS}")


def _is_exact(decoder: Decoder | AvDecoder) -> bool:
    """Whether as many frames can be decoded as the file says, by its coding and its last frame."""
    if decoder.format == "FLAC" or not decoder.subtype.startswith(EXACT) or decoder.frames <= 0:
        return False
    try:
        decoder.seek(decoder.frames - 1)
        return len(decoder.read(2)) == 1
    except DecodingError:
        return False


def _counted(decoder: Decoder | AvDecoder) -> tuple[int, str]:
    """(frames that can be decoded, why they are fewer than the file says)."""
    frames, block = 0, max(1, COUNTED_VALUES // decoder.channels)
    try:
        while read := len(decoder.read(block)):
            frames += read
    except DecodingError as error:
        return frames, str(error)
    return frames, "its header says more than it holds" if frames < decoder.frames - decoder.inexact else ""
