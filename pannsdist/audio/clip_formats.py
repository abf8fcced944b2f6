"""How some clips of a data set are stored, from headers of their files: whether reading them is work at all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from pannsdist.audio.decoder import Decoder, DecodingError
from pannsdist.audio.encoded import NoSoundFile, SoundFile, state_of
from pannsdist.contracts import Clip
from pannsdist.runtime.errors import CannotRead

SAMPLED_CLIPS = 16
PLAIN = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF")
"""Containers whose samples of PCM lie in the file one after the other."""


def costs_work(clips: Sequence[Clip], rate_hz: int) -> bool | None:
    """Whether any of some clips, evenly chosen, has to be fetched, decoded or resampled; None if none is a sound file.

    Raises nothing: what is no file costs no work.
    """
    files = [clip.source for clip in evenly(clips, SAMPLED_CLIPS) if isinstance(clip.source, SoundFile)]
    return any(_costs_work(file, rate_hz) for file in files) if files else None


def _costs_work(file: SoundFile, rate_hz: int) -> bool:
    if not isinstance(file, Path):
        return True
    try:
        state_of(file)  # a pipe would be waited for
        with closing(Decoder(file)) as decoder:
            is_plain = decoder.format in PLAIN and decoder.subtype.startswith("PCM_") and decoder.rate_hz == rate_hz
    except DecodingError:
        return True
    except (NoSoundFile, CannotRead):
        return False
    return not is_plain


def evenly(clips: Sequence[Clip], at_most: int) -> list[Clip]:
    """At most so many clips, from the first on, evenly over all."""
    step = -(-len(clips) // at_most) or 1
    return [clips[row] for row in range(0, len(clips), step)]
