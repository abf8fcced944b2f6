"""What one reading of a clip tells: length, rate, peak level, and a checksum to find duplicates."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from pannsdist.audio.reader import clip_name, clip_span, open_source
from pannsdist.contracts import Clip
from pannsdist.runtime.errors import BadClip

SILENT_PEAK = 1e-4
"""Of full scale, -80 dB: a clip whose samples all stay below it counts as silent."""


@dataclass(frozen=True)
class Facts:
    """The facts of one clip.

    `content` is a checksum, equal for clips of equal rate and samples. `error` is why the clip cannot be used.
    """

    duration_s: float = 0.0
    rate_hz: int = 0
    peak: float = 0.0
    content: str = ""
    error: str = ""

    @property
    def is_silent(self) -> bool:
        """Whether its peak is below -80 dB of full scale."""
        return not self.error and self.peak < SILENT_PEAK


def inspect(clips: tuple[Clip, ...]) -> tuple[Facts, ...]:
    """Read each clip whole; runs in a worker. A clip that cannot be used gets an `error`, and the others are read."""
    return tuple(_facts(clip) for clip in clips)


def _facts(clip: Clip) -> Facts:
    try:
        return _read(clip)
    except BadClip as error:
        return Facts(error=error.wrong)


def _read(clip: Clip) -> Facts:
    """The facts of a clip, block by block. Raises BadClip where training would."""
    digest, peak, frames, shape = hashlib.sha256(), 0.0, 0, ""
    with open_source(clip.source, clip_name(clip)) as source:
        rate_hz = source.verdict.rate_hz
        for block in source.blocks(*clip_span(clip, source)):
            if not np.isfinite(block).all():
                raise clip_name(clip).bad_clip("it contains NaN or infinite samples")
            digest.update(np.ascontiguousarray(block).tobytes())
            peak, frames, shape = max(peak, float(np.abs(block).max())), frames + len(block), str(block.shape[1:])
    digest.update(f"{rate_hz} {frames} {shape}".encode())
    return Facts(frames / rate_hz, int(rate_hz), peak, digest.hexdigest())
