"""Isolated sounds to mix: class folders with beeps between silence, and the command that mixes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from pannsdist.cli.command_line import main
from pannsdist.contracts import Clip, Samples

RATE_HZ = 8000
RECIPE = {
    "soundscapes": {"train": 6, "valid": 3},
    "duration_s": 2.0,
    "rate_hz": RATE_HZ,
    "data": {"name": "folder"},
    "events": {"duration_s": ["uniform", 0.1, 1.0]},
}


def noise(duration_s: float, seed: int = 0, level: float = 0.1, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Stationary white noise (S,) float32."""
    samples = np.random.default_rng(seed).standard_normal(round(duration_s * rate_hz)) * level
    return samples.astype(np.float32)


def silence(duration_s: float, rate_hz: int = RATE_HZ) -> np.ndarray:
    return np.zeros(round(duration_s * rate_hz), np.float32)


def clip_of(waveform: np.ndarray, label: str = "dog", rate_hz: int = RATE_HZ) -> Clip:
    return Clip(label, Samples(waveform, rate_hz), (label,))


class Isolated:
    """Two classes with three clips each in two splits: noise of 0.3 s to 0.8 s between silence."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for split in ("train", "valid"):
            for place, label in enumerate(("cat", "dog")):
                for number in range(3):
                    seed = 10 * place + number + 100 * (split == "valid")
                    sound = noise(0.3 + 0.25 * number, seed)
                    self.add(f"{split}/{label}/{number}.wav", np.concatenate([silence(0.2), sound, silence(0.3)]))

    def add(self, name: str, samples: np.ndarray, rate_hz: int = RATE_HZ) -> Path:
        path = self.folder / "sounds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, rate_hz, subtype="FLOAT")
        return path

    def recipe(self, changes: Mapping[str, Any] | None = None) -> Path:
        """The file of the recipe, with sections changed."""
        merged = json.loads(json.dumps(RECIPE))
        for key, value in (changes or {}).items():
            merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
        path = self.folder / "recipe.yaml"
        path.write_text(json.dumps(merged), encoding="utf-8")
        return path

    def words(self, *arguments: object, output: str = "mixed", changes: Mapping[str, Any] | None = None) -> list[str]:
        given = [] if "--workers" in arguments else ["--workers", "0"]
        place = f"data.params.root={self.folder / 'sounds'}"
        where = ["-c", self.recipe(changes), "-o", self.folder / output]
        return [str(word) for word in ("data", "mix", *where, *given, *arguments, place)]

    def mix(self, *arguments: object, output: str = "mixed", changes: Mapping[str, Any] | None = None) -> int:
        return main(self.words(*arguments, output=output, changes=changes))


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
