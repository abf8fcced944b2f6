"""What one reading of a clip tells of it: length, rate, loudness, and whether another clip sounds the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pannsdist.audio.decode import bad_clip, length_of, read_file, source_span
from pannsdist.contracts import Clip
from pannsdist.runtime.errors import BadClip

SILENT_PEAK = 1e-4
"""Of full scale, -80 dB: a clip that never rises above it is silent."""


@dataclass(frozen=True)
class Facts:
    """What was found of a clip.

    `content` is equal for clips of equal rate and samples. `error` says why the clip cannot be used.
    """

    duration_s: float = 0.0
    rate_hz: int = 0
    peak: float = 0.0
    content: str = ""
    error: str = ""

    @property
    def is_silent(self) -> bool:
        """Whether nothing is to be heard."""
        return not self.error and self.peak < SILENT_PEAK


def inspect(clips: tuple[Clip, ...]) -> tuple[Facts, ...]:
    """Read clips whole, each once; runs in a worker. One that cannot be used does not stop the others."""
    return tuple(_facts(clip) for clip in clips)


def _facts(clip: Clip) -> Facts:
    try:
        samples, rate_hz = _samples(clip)
    except BadClip as error:
        return Facts(error=error.wrong)
    digest = hashlib.sha256(f"{rate_hz} {samples.shape}".encode())
    digest.update(np.ascontiguousarray(samples).tobytes())
    peak = float(np.abs(samples).max())
    return Facts(len(samples) / rate_hz, rate_hz, peak, digest.hexdigest())


def _samples(clip: Clip) -> tuple[np.ndarray, int]:
    """All samples of the clip (S, channels) float32 at its own rate. Raises BadClip for what training would refuse."""
    if isinstance(clip.source, Path):
        frames, rate_hz = length_of(clip)
        first, end = source_span(clip, frames, rate_hz)
        samples = read_file(clip.source, first, end, clip).samples
    else:
        made, rate_hz = clip.source.samples()
        first, end = source_span(clip, len(made), rate_hz)
        samples = np.asarray(made, np.float32)[first:end]
        samples = samples[:, None] if samples.ndim == 1 else samples
    if len(samples) == 0:
        raise bad_clip(clip, "it holds no samples")
    if not np.isfinite(samples).all():
        raise bad_clip(clip, "it holds NaN or infinite samples")
    return samples, rate_hz
