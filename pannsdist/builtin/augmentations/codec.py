"""Augmentation `codec`: sound that was coded with losses once, and decoded again."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pannsdist.builtin.augmentations import probability, refuse_unordered
from pannsdist.contracts import param


@dataclass(frozen=True)
class Coder:
    """How libsndfile codes: its container and subtype, the rates that the coder takes, and whether it has levels."""

    container: str
    subtype: str
    rates_hz: tuple[int, ...]
    has_levels: bool = False

    def rate_hz(self, rate_hz: int) -> int:
        """The rate at which it codes sound of a rate: the same, else the next higher one, else its highest."""
        return min((one for one in self.rates_hz if one >= rate_hz), default=max(self.rates_hz))


CODERS = {
    "mp3": Coder("MP3", "MPEG_LAYER_III", (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000), True),
    "opus": Coder("OGG", "OPUS", (8000, 12000, 16000, 24000, 48000), True),
    "vorbis": Coder("OGG", "VORBIS", (8000, 11025, 16000, 22050, 32000, 44100, 48000), True),
    "gsm": Coder("WAV", "GSM610", (8000,)),
    "mu_law": Coder("WAV", "ULAW", (8000,)),
}
KINDS = (*CODERS, "bits")


@dataclass(frozen=True)
class CodecParams:
    """`low_compression` to `high_compression` is the range of libsndfile's level, of mp3, opus and vorbis."""

    kind: str = param("any", "codec; any: one of the others, drawn for each clip", choices=("any", *KINDS))
    low_compression: float = param(0.0, "minimum compression: 0 is the best quality", low=0.0, high=1.0)
    high_compression: float = param(1.0, "maximum compression: 1 is the smallest file", low=0.0, high=1.0)
    low_bits: int = param(6, "minimum bits of a sample, of bits", low=2, high=24)
    high_bits: int = param(12, "maximum bits of a sample, of bits", low=2, high=24)
    probability: float = probability()


class Codec:
    """Code the clip and decode it again, in memory, by libsndfile: MP3, Opus, Vorbis, GSM 6.10, mu-law; or fewer bits.

    Sound stays where it was. A coder with other rates gets the clip at the next one (soxr): GSM and mu-law at 8 kHz,
    which leaves what a telephone does. A clip above full scale is coded at full scale and scaled back. Coders have no
    random numbers, so the same clip gives the same sound; another version of libsndfile may give another.
    Source: coding as augmentation: Hailu, Siegert and Nuernberger 2020, "Improving automatic speech recognition
    utilizing audio-codecs for data augmentation".
    """

    Params: ClassVar[type] = CodecParams

    def __init__(self, params: CodecParams) -> None:
        refuse_unordered("codec", params, "low_compression", "high_compression")
        refuse_unordered("codec", params, "low_bits", "high_bits")
        self.params = params

    def __call__(self, waveform: np.ndarray, rate_hz: int, generator: np.random.Generator) -> np.ndarray:
        """(S,) float32 -> (S,) float32."""
        kind = self.params.kind
        if kind == "any":
            kind = KINDS[int(generator.integers(len(KINDS)))]
        level = generator.uniform(self.params.low_compression, self.params.high_compression)
        bits = int(generator.integers(self.params.low_bits, self.params.high_bits + 1))
        if not waveform.any():
            return waveform
        largest = np.float32(max(1.0, np.abs(waveform).max(initial=0.0)))
        within = waveform / largest
        coded = quantised(within, bits) if kind == "bits" else coded_once(within, rate_hz, CODERS[kind], level)
        return (coded * largest).astype(np.float32)


def quantised(waveform: np.ndarray, bits: int) -> np.ndarray:
    """Samples in [-1, 1] rounded to `bits` bits: (S,) float32 -> (S,) float32."""
    steps = np.float32(2 ** (bits - 1) - 1)
    rounded: np.ndarray = np.round(waveform * steps) / steps
    return rounded


def coded_once(waveform: np.ndarray, rate_hz: int, coder: Coder, level: float) -> np.ndarray:
    """Samples in [-1, 1] coded and decoded: (S,) float32 -> (S,) float32."""
    import soundfile

    at_hz = coder.rate_hz(rate_hz)
    levels = {"compression_level": level} if coder.has_levels else {}
    file = io.BytesIO()
    format_ = {"format": coder.container, "subtype": coder.subtype}
    with soundfile.SoundFile(file, "w", at_hz, 1, **format_, **levels) as target:
        target.write(_resampled(waveform, rate_hz, at_hz))
    file.seek(0)
    decoded = soundfile.read(file, dtype="float32")[0]
    decoded_again = _resampled(decoded, at_hz, rate_hz)[: len(waveform)]
    return np.pad(decoded_again, (0, len(waveform) - len(decoded_again)))


def _resampled(waveform: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    if from_hz == to_hz:
        return waveform
    import soxr

    resampled: np.ndarray = soxr.resample(waveform, from_hz, to_hz, quality="HQ")
    return resampled.astype(np.float32)
