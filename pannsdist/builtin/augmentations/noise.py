"""Augmentation `noise`: background noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from pannsdist.builtin.augmentations import power, probability, refuse_unordered
from pannsdist.contracts import SoundReader, UserError, param, path_of
from pannsdist.contracts.file_lookup import is_folder
from pannsdist.contracts.sound_files import SoundFiles, find_sound_files


@dataclass(frozen=True)
class NoiseParams:
    """The signal-to-noise ratio is drawn uniformly from `low_snr_db` to `high_snr_db`."""

    kind: str = param("white", "noise type; folder: excerpts of audio files", choices=("white", "pink", "folder"))
    folder: str = param("", "folder with audio files, searched recursively; for kind=folder")
    low_snr_db: float = param(5.0, "minimum signal-to-noise ratio in dB", low=-60.0, high=120.0)
    high_snr_db: float = param(30.0, "maximum signal-to-noise ratio in dB", low=-60.0, high=120.0)
    probability: float = probability()


class Noise:
    """Add noise at a random signal-to-noise ratio of the mean powers of the crop.

    White and pink noise are generated; recorded noise is a random excerpt of a random file, repeated if too short.
    Silent clips, and silent noise, are left unchanged: they have no ratio.
    Source: noise from a corpus at a random ratio, as with MUSAN (Snyder et al. 2015, arXiv 1510.08484).
    """

    Params: ClassVar[type] = NoiseParams

    def __init__(self, params: NoiseParams) -> None:
        refuse_unordered("noise", params, "low_snr_db", "high_snr_db")
        self.params = params
        if params.kind != "folder" and params.folder:
            raise UserError(
                f"augment.noise.folder is {params.folder}, but augment.noise.kind is {params.kind}",
                "augment.noise.kind=folder uses its files",
            )
        found = _sound_files(params.folder) if params.kind == "folder" else SoundFiles(())
        self.sounds = tuple(path for path in found.files if isinstance(path, Path))
        self.skipped = found.skipped

    def __call__(
        self,
        waveform: np.ndarray,
        rate_hz: int,  # noqa: ARG002 `read` gives samples at this rate
        generator: np.random.Generator,
        read: SoundReader | None = None,
    ) -> np.ndarray:
        """(S,) float32 -> (S,) float32; `read` is needed for recorded noise."""
        ratio_db = generator.uniform(self.params.low_snr_db, self.params.high_snr_db)
        noise = self._noise(len(waveform), generator, read)
        signal, background = power(waveform), power(noise)
        if not signal or not background:
            return waveform
        level = np.sqrt(signal / background) * 10 ** (-ratio_db / 20)
        noisy: np.ndarray = waveform + level * noise
        return noisy.astype(np.float32)

    def _noise(self, length: int, generator: np.random.Generator, read: SoundReader | None) -> np.ndarray:
        if self.params.kind == "white":
            return generator.standard_normal(length, dtype=np.float32)
        if self.params.kind == "pink":
            return pink(length, generator)
        assert read is not None
        path = self.sounds[int(generator.integers(len(self.sounds)))]
        return np.resize(read(path, length), length)


def pink(length: int, generator: np.random.Generator) -> np.ndarray:
    """Noise with power falling by 3 dB per octave: (S,) float32. Source: Timmer and Koenig 1995, with exponent 1."""
    from scipy.fft import irfft

    bins = np.arange(length // 2 + 1)
    spectrum = generator.standard_normal((2, len(bins)), dtype=np.float32)
    shaped = (spectrum[0] + 1j * spectrum[1]) / np.sqrt(np.maximum(bins, 1))
    shaped[0] = 0.0
    noise: np.ndarray = irfft(shaped, n=length)
    return noise.astype(np.float32)


def _sound_files(folder: str) -> SoundFiles:
    """All audio files below a folder, sorted so that random draws are reproducible on every machine."""
    root = path_of(folder)
    if not folder or not is_folder(root):
        raise UserError(f"augment.noise.folder is '{folder}', which is not a folder", "give a folder with audio files")
    found = find_sound_files(root)
    if not found.files:
        raise UserError(f"augment.noise.folder: no audio file in {root}", found.nothing)
    return found
