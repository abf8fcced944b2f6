"""The augmentation `noise`: something else sounds in the background."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from pannsdist.builtin.augmentations import power, probability, refuse_unordered
from pannsdist.contracts import UserError, param

ENDINGS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au")


@dataclass(frozen=True)
class NoiseParams:
    """The ratio of the clip to the noise is drawn evenly between the two."""

    kind: str = param("white", "what sounds; folder: a piece of a file", choices=("white", "pink", "folder"))
    folder: str = param("", "a folder with sound files, at any depth; for kind=folder")
    low_snr_db: float = param(5.0, "loudest noise, as signal over noise", low=-60.0, high=120.0)
    high_snr_db: float = param(30.0, "softest noise", low=-60.0, high=120.0)
    probability: float = probability()


class Noise:
    """Noise under the clip at a given signal-to-noise ratio of their powers over the whole crop.

    White and pink noise are made; recorded noise is a random piece of a random file, repeated where it is too short.
    A silent clip, or a silent piece of noise, stays as it is: it has no ratio.
    Source: noise from a corpus at a random ratio as with MUSAN (Snyder et al. 2015, arXiv 1510.08484).
    """

    Params: ClassVar[type] = NoiseParams

    def __init__(self, params: NoiseParams) -> None:
        refuse_unordered("noise", params, "low_snr_db", "high_snr_db")
        self.params = params
        if params.kind != "folder" and params.folder:
            raise UserError(
                f"augment.noise.folder is {params.folder}, but augment.noise.kind is {params.kind}",
                "augment.noise.kind=folder takes its files",
            )
        self._files = _sound_files(params.folder) if params.kind == "folder" else ()

    def __call__(self, waveform: np.ndarray, rate_hz: int, generator: np.random.Generator) -> np.ndarray:
        """(S,) float32 -> (S,) float32."""
        ratio_db = generator.uniform(self.params.low_snr_db, self.params.high_snr_db)
        noise = self._noise(len(waveform), rate_hz, generator)
        signal, background = power(waveform), power(noise)
        if not signal or not background:
            return waveform
        level = np.sqrt(signal / background) * 10 ** (-ratio_db / 20)
        heard: np.ndarray = waveform + level * noise
        return heard.astype(np.float32)

    def _noise(self, length: int, rate_hz: int, generator: np.random.Generator) -> np.ndarray:
        if self.params.kind == "white":
            return generator.standard_normal(length, dtype=np.float32)
        if self.params.kind == "pink":
            return pink(length, generator)
        path = self._files[int(generator.integers(len(self._files)))]
        return piece(path, length, rate_hz, generator)


def pink(length: int, generator: np.random.Generator) -> np.ndarray:
    """Noise whose power falls by 3 dB an octave: (S,) float32. Source: Timmer and Koenig 1995, with exponent 1."""
    from scipy.fft import irfft

    bins = np.arange(length // 2 + 1)
    spectrum = generator.standard_normal((2, len(bins)), dtype=np.float32)
    shaped = (spectrum[0] + 1j * spectrum[1]) / np.sqrt(np.maximum(bins, 1))
    shaped[0] = 0.0
    noise: np.ndarray = irfft(shaped, n=length)
    return noise.astype(np.float32)


def piece(path: Path, length: int, rate_hz: int, generator: np.random.Generator) -> np.ndarray:
    """A stretch of a sound file from a random place: (length,) float32, mono, at `rate_hz`."""
    import soundfile
    import soxr

    try:
        with soundfile.SoundFile(path) as file:
            needed = -(-length * file.samplerate // rate_hz)
            file.seek(int(generator.integers(0, max(0, len(file) - needed) + 1)))
            mono = file.read(needed, dtype="float32", always_2d=True).mean(axis=1)
            own_rate_hz = file.samplerate
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise UserError(f"augment.noise.folder: cannot read {path}: {error}", "mend or remove the file") from error
    if len(mono) == 0 or not np.isfinite(mono).all():
        raise UserError(f"augment.noise.folder: {path} holds no samples, or such as are NaN", "mend or remove the file")
    return np.resize(soxr.resample(mono, own_rate_hz, rate_hz, quality="HQ"), length)


def _sound_files(folder: str) -> tuple[Path, ...]:
    """Sorted, so that the draw of a number is the draw of a file on every machine."""
    root = Path(folder).expanduser()
    if not folder or not root.is_dir():
        raise UserError(f"augment.noise.folder is '{folder}', which is no folder", "give a folder with sound files")
    found = sorted(path for path in root.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not found:
        raise UserError(f"augment.noise.folder: no sound file in {root}", f"endings: {' '.join(ENDINGS)}")
    return tuple(found)
