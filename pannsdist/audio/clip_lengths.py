"""The lengths of clips, without decoding any: from their segments, from headers of files, and of samples in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from pannsdist.audio.av_decoder import AvDecoder
from pannsdist.audio.containers.foreign import SIGNATURE_BYTES, foreign
from pannsdist.audio.decoder import Decoder, DecodingError
from pannsdist.audio.encoded import NoSoundFile, SoundFile, opened, state_of
from pannsdist.audio.verdicts import rate_fault
from pannsdist.contracts import Clip
from pannsdist.runtime import seeding
from pannsdist.runtime.errors import CannotRead

SAMPLED_CLIPS = 256
"""Clips of a split whose lengths are read: about a third of a second on a local disk."""
MAX_FRAMES = 1 << 40
"""A header with more frames does not know its length, as that of a stream."""


@dataclass(frozen=True)
class ClipLengths:
    """The lengths of some clips of a split, drawn by the run's seed.

    `seconds` (N,) float64 are the known ones. `sampled` clips were looked at, of `clips` in the split; the headers of
    `unreadable` files could not be read.
    """

    seconds: np.ndarray
    sampled: int
    clips: int
    unreadable: int = 0


def sampled_lengths(clips: Sequence[Clip], seed: int, at_most: int = SAMPLED_CLIPS) -> ClipLengths:
    """The lengths of at most `at_most` clips, the same ones for the same seed. Reads headers; raises nothing."""
    chosen: Sequence[Clip] = clips
    if len(clips) > at_most:
        generator = seeding.epoch_generator(seed, 0, "lengths")
        chosen = [clips[int(row)] for row in np.sort(generator.choice(len(clips), at_most, replace=False))]
    found = [(clip, length_s(clip)) for clip in chosen]
    seconds = np.array([length for _, length in found if length is not None], np.float64)
    unreadable = sum(length is None and isinstance(clip.source, SoundFile) for clip, length in found)
    return ClipLengths(seconds, len(chosen), len(clips), unreadable)


def lengths_s(clips: Sequence[Clip]) -> np.ndarray:
    """The length of every clip in seconds: (N,) float64, NaN where it is not known. Raises nothing."""
    return np.array([np.nan if (length := length_s(clip)) is None else length for clip in clips], np.float64)


def length_s(clip: Clip) -> float | None:
    """The length of a clip in seconds, as its segment or the header of its file says; None if that is not known.

    Raises nothing: whether a clip can be used is for its reader to say. A source of samples is asked for none.
    """
    if clip.duration_s is not None:
        return clip.duration_s if clip.duration_s > 0 else None
    source = clip.source
    whole_s = getattr(source, "duration_s", None)
    if whole_s is None and isinstance(source, SoundFile):
        whole_s = _file_length_s(source)
    if not isinstance(whole_s, int | float) or not math.isfinite(whole_s) or whole_s <= clip.start_s:
        return None
    return whole_s - clip.start_s


def _file_length_s(source: SoundFile) -> float | None:
    try:
        state_of(source)  # a pipe would be waited for
        with opened(source) as file:
            form = foreign(file.read(SIGNATURE_BYTES))
        with closing(AvDecoder(source, form) if form else Decoder(source)) as decoder:
            is_sound = decoder.format != "RAW" and not rate_fault(decoder.rate_hz)
            is_known = 0 < decoder.frames < MAX_FRAMES
            return decoder.frames / decoder.rate_hz if is_sound and is_known else None
    except (DecodingError, NoSoundFile, CannotRead, OSError, ValueError):
        return None
