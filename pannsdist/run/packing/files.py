"""One sound file as it is packed: its size, whether it is a sound, and its bytes. Runs in worker processes."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pannsdist.audio.encoded import NoSoundFile, SoundFile, opened, state_of
from pannsdist.audio.inspection import refuse_damage
from pannsdist.audio.reader import clip_name, open_source
from pannsdist.contracts import Clip, EncodedSource, SampleSource
from pannsdist.runtime import reading
from pannsdist.runtime.errors import BadClip, BadDataset

WAV_HEADER = struct.Struct("<4sI4s4sIHHIIHHH4sII4sI")
IEEE_FLOAT = 3
MOST_WAV_BYTES = (1 << 32) - WAV_HEADER.size - 1


@dataclass(frozen=True)
class Measured:
    """The size of a file in bytes; `fault` is why it is not packed."""

    size_bytes: int = 0
    fault: str = ""


def measure(clips: tuple[Clip, ...]) -> tuple[Measured, ...]:
    """Look at the source of each clip: only a whole sound is packed. Raises CannotRead."""
    return tuple(map(_measured, clips))


def _measured(clip: Clip) -> Measured:
    try:
        refuse_damage(clip)
        with open_source(clip.source, clip_name(clip)) as opened_source:
            if not opened_source.verdict.is_whole:
                raise clip_name(clip).bad_clip(str(opened_source.verdict))
        return Measured(state_of(clip.source).size_bytes if isinstance(clip.source, SoundFile) else len(wav(clip)))
    except BadClip as error:
        return Measured(fault=error.wrong)
    except NoSoundFile as error:
        return Measured(fault=clip_name(clip).bad_clip(str(error)).wrong)


@contextmanager
def content(clip: Clip) -> Iterator[BinaryIO]:
    """The bytes of a clip's source: those of its file unchanged, or its samples as WAV. Raises CannotRead, BadClip."""
    source = clip.source
    try:
        with opened(source) if isinstance(source, SoundFile) else io.BytesIO(wav(clip)) as file:
            yield file
    except OSError as error:
        raise reading.cannot_read(Path(clip_name(clip).location), error) from error


def changed(clip: Clip) -> BadDataset:
    """The error for a file that has not the size that it had."""
    wrong = f"clip '{clip.id}' ({clip_name(clip).location}) was changed while the dataset was packed"
    return BadDataset(wrong, "nothing was written; repeat the command when nobody writes into the dataset")


def file_name(clip: Clip) -> str:
    """The name of the sound file of a clip, whose ending tells its format."""
    if isinstance(clip.source, Path):
        return clip.source.name
    if isinstance(clip.source, EncodedSource):
        return clip.source.name.rpartition("/")[2].rpartition(":")[2]
    return f"{clip.id.rpartition('/')[2]}.wav"


def wav(clip: Clip) -> bytes:
    """The samples of a clip's `SampleSource` as a WAV file of 32 bit floats, which holds them bit for bit.

    Raises BadClip for what such a file cannot hold. libsndfile would write the time into it.
    """
    assert isinstance(clip.source, SampleSource)
    samples, rate_hz = clip.source.samples()
    array = np.ascontiguousarray(samples, "<f4")
    channels = array.shape[1] if array.ndim == 2 else 1
    if array.ndim not in (1, 2) or rate_hz != int(rate_hz) or not 0 < rate_hz < 1 << 24 or channels > 256:
        raise clip_name(clip).bad_clip(f"samples of shape {array.shape} at {rate_hz} Hz are no sound")
    if array.nbytes > MOST_WAV_BYTES:
        raise clip_name(clip).bad_clip(f"{array.nbytes:,} bytes of samples are more than a WAV file holds")
    rate, block, size = int(rate_hz), 4 * channels, array.nbytes
    form = (b"fmt ", 18, IEEE_FLOAT, channels, rate, rate * block, block, 32, 0)
    fact = (b"fact", 4, len(array), b"data", size)
    return WAV_HEADER.pack(b"RIFF", WAV_HEADER.size - 8 + size, b"WAVE", *form, *fact) + array.tobytes()
