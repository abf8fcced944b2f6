"""What one reading of a clip tells: length, rate, peak level, and a checksum to find duplicates."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from pannsdist.audio.loudness import LevelMeter
from pannsdist.audio.reader import clip_name, clip_span, mix_to_mono, open_source, refuse_unusable, resample
from pannsdist.contracts import Clip
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
        samples, rate_hz = _samples(clip)
    except BadClip as error:
        return Facts(error=error.wrong)
    digest = hashlib.sha256(f"{rate_hz} {samples.shape}".encode())
    digest.update(np.ascontiguousarray(samples).tobytes())
    meter = LevelMeter()
    mono = mix_to_mono(samples)
    meter.add_channels(samples, mono)
    meter.add_output(resample(mono, rate_hz, model_rate_hz))
    return Facts(len(samples) / rate_hz, rate_hz, digest.hexdigest(), meter.is_silent, meter.remarks())


def _samples(clip: Clip) -> tuple[np.ndarray, int]:
    """All samples of the clip (S, channels) float32 at its own rate. Raises BadClip where training would."""
    with open_source(clip.source, clip_name(clip)) as source:
        samples, rate_hz = source.read(*clip_span(clip, source)), source.rate_hz
    if len(samples) == 0:
        raise clip_name(clip).bad_clip("it contains no samples")
    refuse_unusable(samples, clip_name(clip))
    return samples, rate_hz
