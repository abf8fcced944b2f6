"""Reads one clip as one waveform of a known length: crop, mix to mono, resample, pad with silence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pannsdist.audio.reader import OpenSource, clip_name, clip_span, mix_to_mono, open_source, refuse_unusable, resample
from pannsdist.contracts import Clip


@dataclass(frozen=True)
class ClipReader:
    """Reads clips at `rate_hz`, at most `crop_samples` long; refuses those shorter than `min_clip_s`.

    Shorter ones are padded to `pad_samples`, by default to `crop_samples`. A clip that is longer than the crop by at
    most the part `undrawn` of it, as by the padding of a codec, is read from its start in training, too.
    """

    rate_hz: int
    crop_samples: int
    min_clip_s: float = 0.0
    pad_samples: int | None = None
    undrawn: float = 0.0

    def read(self, clip: Clip, generator: np.random.Generator | None) -> np.ndarray:
        """The waveform of a clip: (S,) float32, S from `pad_samples` to `crop_samples`.

        A longer clip is cropped, in training at an offset drawn from `generator`, without a generator at its start; of
        a file, only the crop is decoded. A shorter clip is padded with silence here and not after the features, since
        the log-mel of silence is -100 dB and not 0.
        Raises BadClip for what is no sound, not whole, empty or too short, and for samples that `loudness.refusal`
        refuses.
        """
        waveform = self.unpadded(clip, generator)[: self.crop_samples]
        samples = self.crop_samples if self.pad_samples is None else max(len(waveform), self.pad_samples)
        padded = np.zeros(samples, np.float32)
        padded[: len(waveform)] = waveform
        return padded

    def crops_at_random(self, clip: Clip) -> bool:
        """Whether a generator draws where the crop of this clip begins. Raises BadClip."""
        with open_source(clip.source, clip_name(clip)) as source:
            first, end = clip_span(clip, source)
            needed = self._needed(source.verdict.rate_hz)
            return end - first - needed > self.undrawn * needed

    def unpadded(self, clip: Clip, generator: np.random.Generator | None) -> np.ndarray:
        """As `read`, but a shorter clip stays shorter, and the last sample of the resampler may be one too many."""
        parts = []
        with open_source(clip.source, clip_name(clip)) as source:
            for block in source.blocks(*self._crop(clip, source, generator)):
                refuse_unusable(block, clip_name(clip))
                parts.append(mix_to_mono(block))
            own_hz = source.verdict.rate_hz
        return resample(parts[0] if len(parts) == 1 else np.concatenate(parts), own_hz, self.rate_hz)

    def _crop(self, clip: Clip, source: OpenSource, generator: np.random.Generator | None) -> tuple[int, int]:
        """(first, end) of the crop in frames of the source. Raises BadClip for a clip that is too short."""
        first, end = clip_span(clip, source)
        own_hz = source.verdict.rate_hz
        length_s = (end - first) / own_hz
        if length_s < self.min_clip_s:
            why = f"it lasts {length_s:.3f} s, less than the minimum of {self.min_clip_s:.3f} s"
            raise clip_name(clip).bad_clip(why, "data.min_clip_s=0 pads it with silence instead")
        needed = self._needed(own_hz)
        spare = end - first - needed
        if spare <= 0:
            return first, end
        is_drawn = generator is not None and spare > self.undrawn * needed
        offset = int(generator.integers(0, spare + 1)) if generator is not None and is_drawn else 0
        return first + offset, first + offset + needed

    def _needed(self, own_hz: float) -> int:
        """Frames of a source with this rate that the crop needs."""
        return int(-(-self.crop_samples * own_hz // self.rate_hz))
