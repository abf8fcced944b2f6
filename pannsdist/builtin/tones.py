"""Dataset plugin `tones`: synthetic sounds for a first run and for tests, without files or downloads."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts import Clip, UserError, param
from pannsdist.contracts.scripts import ArgumentParser, exit_code
from pannsdist.contracts.writing import make_folder, write_atomic

Waveform = NDArray[np.float64]
FOLDS = (1, 2, 3)


@dataclass(frozen=True)
class TonesParams:
    """Number, length and classes of the clips."""

    clips_per_class: int = param(16, "training clips per class")
    valid_clips_per_class: int = param(8, "validation clips per class")
    duration_s: float = param(1.0, "clip length in seconds")
    sample_rate_hz: int = param(32000, "sample rate in Hz")
    classes: int = param(6, "number of classes")
    seed: int = param(0, "random seed of the sounds")
    valid_fold: int = param(0, "fold of the valid split, 1 to 3; 0: separate valid clips")


class Tones:
    """Synthetic sounds of up to six classes, such as tones, sweeps and clicks.

    Pitch, level, onset and background noise vary from clip to clip. Each clip depends on `seed`, split, class and
    number only: adding clips does not change the others.
    """

    Params: ClassVar[type] = TonesParams
    fold_param: ClassVar[str] = "valid_fold"

    @classmethod
    def folds(cls, params: TonesParams) -> tuple[int, ...]:
        """The three folds; none where a class has fewer clips."""
        return FOLDS if params.clips_per_class >= len(FOLDS) else ()

    def __init__(self, params: TonesParams) -> None:
        for key, low, high in (
            ("valid_fold", 0, len(FOLDS)),
            ("clips_per_class", len(FOLDS) if params.valid_fold else 1, 1_000_000),
            ("valid_clips_per_class", 1, 1_000_000),
            ("duration_s", 0.1, 600.0),
            ("sample_rate_hz", 8000, 192_000),
            ("classes", 2, len(FAMILIES)),
        ):
            value = getattr(params, key)
            if not low <= value <= high:
                raise UserError(f"data.params.{key} is {value}", f"allowed: {low} to {high}")
        self._params = params
        self.labels = tuple(FAMILIES)[: params.classes]
        self.multi_label = False
        self.splits = ("train", "valid")

    def clips(self, split: str) -> tuple[Clip, ...]:
        """Clips of one split, class by class; generates no samples."""
        if split not in self.splits:
            raise UserError(f"the dataset has no split {split!r}", f"splits: {', '.join(self.splits)}")
        params = self._params
        source, numbers = split, range(params.clips_per_class if split == "train" else params.valid_clips_per_class)
        if params.valid_fold:
            source, held_out = "train", range(params.valid_fold - 1, params.clips_per_class, len(FOLDS))
            numbers = range(params.clips_per_class)
            kept = [number for number in numbers if (number in held_out) == (split == "valid")]
        else:
            kept = list(numbers)
        return tuple(
            Clip(f"{source}/{family}/{number:04d}", self._sound(source, family, number), (family,))
            for family in self.labels
            for number in kept
        )

    def _sound(self, split: str, family: str, number: int) -> GeneratedSound:
        digest = hashlib.sha256(f"{self._params.seed}/{split}/{family}/{number}".encode()).digest()
        seed = int.from_bytes(digest[:8], "big")
        return GeneratedSound(family, seed, self._params.duration_s, self._params.sample_rate_hz)


@dataclass(frozen=True)
class GeneratedSound:
    """Deterministic source of one synthetic sound; `family` is one of `FAMILIES`."""

    family: str
    seed: int
    duration_s: float
    sample_rate_hz: int

    def samples(self) -> tuple[NDArray[np.float32], int]:
        """Samples (S,) float32 in [-1, 1] and their rate in Hz: background noise plus the sound from its onset on."""
        rng = np.random.default_rng(self.seed)
        waveform = rng.uniform(0.001, 0.004) * rng.standard_normal(round(self.duration_s * self.sample_rate_hz))
        onset = int(rng.uniform(0.0, 0.25) * len(waveform))
        time_s = np.arange(len(waveform) - onset) / self.sample_rate_hz
        sound = FAMILIES[self.family](rng, time_s, self.sample_rate_hz)
        waveform[onset:] += rng.uniform(0.2, 0.8) / np.abs(sound).max() * sound
        return np.clip(waveform, -1.0, 1.0).astype(np.float32), self.sample_rate_hz


def _tone(rng: np.random.Generator, time_s: Waveform, rate_hz: int) -> Waveform:  # noqa: ARG001 - one signature for all
    """A constant low tone, (S,) -> (S,)."""
    return np.asarray(np.sin(2 * np.pi * rng.uniform(300.0, 700.0) * time_s + rng.uniform(0.0, 2 * np.pi)))


def _sweep(rng: np.random.Generator, time_s: Waveform, rate_hz: int) -> Waveform:
    """A linear rising or falling sweep, (S,) -> (S,)."""
    low_hz, high_hz = rng.uniform(200.0, 500.0), rng.uniform(2500.0, 3500.0)
    duration_s = len(time_s) / rate_hz
    phase = 2 * np.pi * (low_hz * time_s + (high_hz - low_hz) * time_s**2 / (2 * duration_s))
    rising = np.sin(phase)
    return rising if rng.random() < 0.5 else rising[::-1]


def _noise(rng: np.random.Generator, time_s: Waveform, rate_hz: int) -> Waveform:  # noqa: ARG001 - one signature for all
    """Noise with a spectrum between pink and brown, (S,) -> (S,)."""
    spectrum = np.fft.rfft(rng.standard_normal(len(time_s)))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** rng.uniform(0.5, 0.9)
    return np.fft.irfft(spectrum, len(time_s))


def _clicks(rng: np.random.Generator, time_s: Waveform, rate_hz: int) -> Waveform:
    """A periodic click train, (S,) -> (S,)."""
    clicks = np.zeros(len(time_s))
    clicks[:: int(rate_hz / rng.uniform(8.0, 25.0))] = 1.0
    return clicks


def _pluck(rng: np.random.Generator, time_s: Waveform, rate_hz: int) -> Waveform:
    """A plucked string, (S,) -> (S,).

    Source: Karplus and Strong, Digital Synthesis of Plucked-String and Drum Timbres, Computer Music Journal 7(2), 1983.
    """
    period = rng.uniform(-1.0, 1.0, int(rate_hz / rng.uniform(80.0, 200.0)))
    periods = [period]
    for _ in range(len(time_s) // len(period)):
        period = 0.5 * (period + np.roll(period, 1))
        periods.append(period)
    return np.concatenate(periods)[: len(time_s)]


def _am_tone(rng: np.random.Generator, time_s: Waveform, rate_hz: int) -> Waveform:  # noqa: ARG001 - one signature for all
    """A high tone with amplitude modulation at 5 to 15 Hz, (S,) -> (S,)."""
    carrier = np.sin(2 * np.pi * rng.uniform(1500.0, 3000.0) * time_s)
    return np.asarray((1.0 + np.sin(2 * np.pi * rng.uniform(5.0, 15.0) * time_s)) * carrier)


FAMILIES: dict[str, Callable[[np.random.Generator, Waveform, int], Waveform]] = {
    "tone": _tone,
    "sweep": _sweep,
    "noise": _noise,
    "clicks": _clicks,
    "pluck": _pluck,
    "am_tone": _am_tone,
}


def main(folder: Path, clips_per_family: int = 1) -> None:
    """Write sounds that are not in the default training set, as WAV files named after their class.

    Raises CannotWrite.
    """
    import soundfile

    make_folder(folder)
    for clip in Tones(TonesParams(valid_clips_per_class=clips_per_family, seed=1)).clips("valid"):
        samples, rate_hz = clip.source.samples()  # type: ignore[union-attr]
        sound = io.BytesIO()
        soundfile.write(sound, samples, rate_hz, format="WAV")
        write_atomic(folder / f"{clip.labels[0]}_{clip.id.rpartition('/')[2]}.wav", sound.getvalue())
    print(f"{clips_per_family} sounds of each family: {folder}")


def _run_command() -> None:
    parser = ArgumentParser(prog="python -m pannsdist.builtin.tones", description="Write a sound of each class.")
    parser.add_argument("folder", type=Path, help="folder for the WAV files; created if needed")
    main(parser.parse_args().folder)


if __name__ == "__main__":
    sys.exit(exit_code(_run_command))
