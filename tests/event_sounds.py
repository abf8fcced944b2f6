"""A small data set of sound events: soundscapes with tones and hisses, labelled with events, by clip or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 8000
LONGEST_S = 2.0
KINDS = ("strong", "weak", "strong", "strong", "nothing", "silent")
"""What is known of each clip of a split, in turn: events, labels, nothing, or that nothing sounds in it."""


def write(root: Path, train: int = 40, valid: int = 13) -> Path:
    """Write the sounds and their manifest; gives the manifest. No number of processes divides 13 clips."""
    generator, rows = np.random.default_rng(3), []
    root.mkdir(parents=True)
    for split, count in (("train", train), ("valid", valid)):
        for number in range(count):
            kind, name = KINDS[number % len(KINDS)], f"{split}_{number:02}.wav"
            duration_s = LONGEST_S - 0.4 * (number % 3) * (split == "valid")
            waveform, events = soundscape(generator, duration_s, 0 if kind == "silent" else 1 + number % 3)
            soundfile.write(root / name, waveform, RATE_HZ, subtype="FLOAT")
            rows.append({"path": name, "split": split, **_labels(kind, events)})
    manifest = root / "clips.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return manifest


def _labels(kind: str, events: list[dict]) -> dict:
    if kind in ("strong", "silent"):
        return {"events": events}
    return {"labels": sorted({event["label"] for event in events})} if kind == "weak" else {}


def soundscape(generator: np.random.Generator, duration_s: float, count: int) -> tuple[np.ndarray, list[dict]]:
    """Quiet noise with so many events (S,) float32, and these: high tones, low tones and hisses, none twice."""
    waveform = generator.normal(0, 0.003, round(duration_s * RATE_HZ))
    events = []
    for label in sorted(generator.permutation(("high", "hiss", "low"))[:count].tolist()):
        onset_s = round(float(generator.uniform(0, duration_s - 0.5)), 3)
        offset_s = round(min(duration_s, onset_s + float(generator.uniform(0.3, 0.9))), 3)
        first, end = round(onset_s * RATE_HZ), round(offset_s * RATE_HZ)
        waveform[first:end] += _sound(label, end - first, generator)
        events.append({"onset_s": onset_s, "offset_s": offset_s, "label": label})
    return waveform.astype(np.float32), events


def _sound(label: str, samples: int, generator: np.random.Generator) -> np.ndarray:
    if label == "hiss":
        return generator.normal(0, 0.05, samples)
    pitch_hz = {"high": 2600.0, "low": 500.0}[label] * generator.uniform(0.9, 1.1)
    return 0.2 * np.sin(2 * np.pi * pitch_hz * np.arange(samples) / RATE_HZ)
