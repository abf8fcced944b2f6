"""Reads one clip as one waveform of a known length: crop, mix to mono, resample, pad with silence."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from pannsdist.audio.reader import clip_name, clip_span
from pannsdist.audio.sixteen_bit import as_float, to_16_bit
from pannsdist.audio.sounds import OpenSound, clip_part, open_sound
from pannsdist.audio.waveform_cache import CachedSound, WaveformCache, cached_sound
from pannsdist.contracts import Clip

SOUND_TOLERANCE_S = 0.1
"""By so much an event may end after its sound: lossy files differ in length by frames of their format."""


@dataclass(frozen=True)
class Crop:
    """A part of a clip (S,) float32, which begins `offset_samples` after its start; the whole has `clip_samples`."""

    waveform: np.ndarray
    offset_samples: int
    clip_samples: int


@dataclass(frozen=True)
class ClipReader:
    """Reads clips at `rate_hz`, at most `crop_samples` long; refuses those shorter than `min_clip_s`.

    Shorter ones are padded to `pad_samples`, by default to `crop_samples`. A clip that is longer than the crop by at
    most the part `undrawn` of it, as by the padding of a codec, is read from its start in training, too. With a `cache`
    the samples are the same, from there. With `is_16_bit`, also of the cache, they are rounded to 16 bit.
    """

    rate_hz: int
    crop_samples: int
    min_clip_s: float = 0.0
    pad_samples: int | None = None
    undrawn: float = 0.0
    cache: WaveformCache | None = None
    is_16_bit: bool = False

    def read(self, clip: Clip, generator: np.random.Generator | None) -> np.ndarray:
        """The waveform of a clip: (S,) float32, S from `pad_samples` to `crop_samples`; from a cache perhaps read-only.

        A longer clip is cropped, in training at an offset drawn from `generator`, without a generator at its start; of
        a file, only the chunks are decoded that the crop touches. A shorter clip is padded with silence here and not
        after the features, since the log-mel of silence is -100 dB and not 0.
        Raises BadClip for what is no sound, not whole, empty or too short, and for samples that `loudness.refusal`
        refuses.
        """
        return self.padded(self.crop(clip, generator).waveform)

    def padded(self, waveform: np.ndarray) -> np.ndarray:
        """A crop as `read` returns it: (S,) float32, of which the rest is silence."""
        samples = self.crop_samples if self.pad_samples is None else max(len(waveform), self.pad_samples)
        if len(waveform) == samples:
            return waveform
        padded = np.zeros(samples, np.float32)
        padded[: len(waveform)] = waveform
        return padded

    def crops_at_random(self, clip: Clip) -> bool:
        """Whether a generator draws where the crop of this clip begins. Raises BadClip."""
        with self._opened(clip) as sound:
            clip_span(clip, sound.source)
            first, end = clip_part(clip, sound, self.rate_hz)
            return self._is_drawn(end - first)

    def crop(self, clip: Clip, generator: np.random.Generator | None) -> Crop:
        """As `read`, but a shorter clip stays shorter, and it is said where in the clip the crop begins."""
        with self._opened(clip) as sound:
            first, end = self._crop(clip, sound, generator)
            start, stop = clip_part(clip, sound, self.rate_hz)
            part = sound.part(first, end)
        part = as_float(to_16_bit(part)) if self.is_16_bit and not isinstance(sound, CachedSound) else part
        return Crop(part, first - start, stop - start)

    def _opened(self, clip: Clip) -> AbstractContextManager[OpenSound]:
        if self.cache is None:
            return open_sound(clip.source, clip_name(clip), self.rate_hz)
        return cached_sound(self.cache, clip, self.rate_hz)

    def _crop(self, clip: Clip, sound: OpenSound, generator: np.random.Generator | None) -> tuple[int, int]:
        """(first, end) of the crop in samples of the sound. Raises BadClip for a clip that is too short."""
        span, own_hz = clip_span(clip, sound.source), sound.source.verdict.rate_hz
        length_s = (span[1] - span[0]) / own_hz
        if length_s < self.min_clip_s:
            why = f"it lasts {length_s:.3f} s, less than the minimum of {self.min_clip_s:.3f} s"
            raise clip_name(clip).bad_clip(why, "data.min_clip_s=0 pads it with silence instead")
        first, end = clip_part(clip, sound, self.rate_hz)
        spare = end - first - self.crop_samples
        if spare <= 0:
            return first, end
        is_drawn = generator is not None and self._is_drawn(end - first)
        offset = int(generator.integers(0, spare + 1)) if generator is not None and is_drawn else 0
        return first + offset, first + offset + self.crop_samples

    def _is_drawn(self, samples: int) -> bool:
        """Whether the crop of a clip of so many samples begins at random in training."""
        return samples - self.crop_samples > self.undrawn * self.crop_samples
