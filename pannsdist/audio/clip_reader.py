"""One clip becomes one waveform of a fixed length: cut, mixed to mono, resampled, padded with silence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pannsdist.audio.decode import Piece, bad_clip, length_of, read_file, source_span, to_mono
from pannsdist.contracts import Clip


@dataclass(frozen=True)
class ClipReader:
    """How clips are read: at `rate_hz`, `crop_samples` long, and refused when they last less than `min_clip_s`."""

    rate_hz: int
    crop_samples: int
    min_clip_s: float = 0.0

    def read(self, clip: Clip, generator: np.random.Generator | None) -> np.ndarray:
        """The waveform of a clip: (S,) float32 with S = crop_samples.

        A longer clip is cut: at a place drawn from `generator` in training, at its beginning without one. A shorter
        clip is followed by silence; a log-mel of silence is -100 dB, which is why padding is done here and not there.
        Raises BadClip for what is no sound, is empty, too short or holds NaN or infinite samples.
        """
        waveform = to_mono(self._cut(clip, generator), self.rate_hz)
        if not np.isfinite(waveform).all():
            raise bad_clip(clip, "it holds NaN or infinite samples")
        fitted = np.zeros(self.crop_samples, np.float32)
        fitted[: len(waveform)] = waveform[: self.crop_samples]
        return fitted

    def _cut(self, clip: Clip, generator: np.random.Generator | None) -> Piece:
        """The frames that are needed, at the source's own rate; of a file, no other is decoded."""
        if isinstance(clip.source, Path):
            frames, rate_hz = length_of(clip)
            first, end = self._window(clip, frames, rate_hz, generator)
            piece = read_file(clip.source, first, end, clip)
        else:
            samples, rate_hz = clip.source.samples()
            samples = np.asarray(samples, np.float32)
            samples = samples[:, None] if samples.ndim == 1 else samples
            first, end = self._window(clip, len(samples), rate_hz, generator)
            piece = Piece(samples[first:end], rate_hz)
        if len(piece.samples) == 0:
            raise bad_clip(clip, "it holds no samples")
        return piece

    def _window(self, clip: Clip, frames: int, rate_hz: int, generator: np.random.Generator | None) -> tuple[int, int]:
        first, end = source_span(clip, frames, rate_hz)
        if (end - first) / rate_hz < self.min_clip_s:
            why = f"it lasts {(end - first) / rate_hz:.3f} s, and less than {self.min_clip_s:.3f} s is too short"
            raise bad_clip(clip, why, "data.min_clip_s=0 pads it with silence instead")
        needed = -(-self.crop_samples * rate_hz // self.rate_hz)
        spare = end - first - needed
        if spare <= 0:
            return first, end
        shift = 0 if generator is None else int(generator.integers(0, spare + 1))
        return first + shift, first + shift + needed
