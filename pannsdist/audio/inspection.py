"""What one reading of a clip tells: length, rate, peak level, and a checksum to find duplicates."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from pannsdist.audio.encoded import no_sound_file
from pannsdist.audio.loudness import LevelMeter
from pannsdist.audio.reader import clip_name, clip_span
from pannsdist.audio.sounds import clip_part, open_sound
from pannsdist.contracts import Clip, EncodedSource
from pannsdist.runtime.errors import BadClip


@dataclass(frozen=True)
class Facts:
    """The facts of one clip.

    `content` is a checksum, equal for clips of equal rate and samples. `remarks` are those of `LevelMeter`. `error` is
    why the clip cannot be used.
    """

    duration_s: float = 0.0
    rate_hz: int = 0
    content: str = ""
    is_silent: bool = False
    remarks: tuple[str, ...] = ()
    error: str = ""


def inspect(clips: tuple[Clip, ...], model_rate_hz: int) -> tuple[Facts, ...]:
    """Read each clip whole, as the network gets it; runs in a worker.

    A clip that cannot be used gets an `error`, and the others are read.
    """
    return tuple(_facts(clip, model_rate_hz) for clip in clips)


def _facts(clip: Clip, model_rate_hz: int) -> Facts:
    try:
        refuse_damage(clip)
        return _read(clip, model_rate_hz)
    except BadClip as error:
        return Facts(error=error.wrong)


def refuse_damage(clip: Clip) -> None:
    """Raise BadClip for a sound whose archive or store says that its bytes have changed, and CannotRead."""
    if not isinstance(clip.source, EncodedSource):
        return
    try:
        why = clip.source.damage()
    except OSError as error:
        why = str(no_sound_file(clip.source, error))
    if why:
        raise clip_name(clip).bad_clip(why)


def _read(clip: Clip, model_rate_hz: int) -> Facts:
    """The facts of a clip, block by block. Raises BadClip where training would."""
    digest, meter, shapes = hashlib.sha256(), LevelMeter(), []

    def observe(block: np.ndarray, mono: np.ndarray) -> None:
        digest.update(np.ascontiguousarray(block).tobytes())
        shapes.append(block.shape)
        meter.add_channels(block, mono)

    with open_sound(clip.source, clip_name(clip), model_rate_hz) as sound:
        rate_hz = sound.source.verdict.rate_hz
        sound.observe(*clip_span(clip, sound.source), observe)
        for part in sound.parts(*clip_part(clip, sound, model_rate_hz)):
            meter.add_output(part)
    frames = sum(shape[0] for shape in shapes)
    digest.update(f"{rate_hz} {frames} {shapes[0][1:]}".encode())
    return Facts(frames / rate_hz, int(rate_hz), digest.hexdigest(), meter.is_silent, meter.remarks())
