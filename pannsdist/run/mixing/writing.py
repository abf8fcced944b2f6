"""A soundscape into its folder: the WAV file, then the JAMS file that says it is complete. Runs in worker processes."""

from __future__ import annotations

import hashlib
import io
import wave
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pannsdist.contracts import Clip, Samples
from pannsdist.run.mixing.jams import Summary, jams, summary
from pannsdist.run.mixing.planned import Plan
from pannsdist.run.mixing.recipe import Recipe
from pannsdist.run.mixing.rendering import render, samples_of
from pannsdist.run.packing.files import wav
from pannsdist.runtime import reading, storage
from pannsdist.runtime.errors import CannotRead
from pannsdist.runtime.json_files import JsonFile

PART = ".part"
"""The ending of a file that is being written."""


@dataclass(frozen=True)
class MixTask:
    """A soundscape to be written into the folder of its split, unless it is there."""

    plan: Plan
    recipe: Recipe
    folder: Path


def write(task: MixTask) -> Summary:
    """Write a soundscape, or find it written. Raises BadClip, CannotRead, CannotWrite."""
    sound, labels = (task.folder / f"{task.plan.name}{ending}" for ending in (".wav", ".jams"))
    found = JsonFile(lambda content: summary(task.plan.name, content), CannotRead, None).read(labels)
    if found is not None and _checksum(reading.bytes_or_empty(sound)) == found.wav_sha256:
        return found
    soundscape = render(task.plan, task.recipe)
    content = wav_of(samples_of(soundscape.waveform, task.recipe.dtype), task.recipe.rate_hz)
    described = jams(task.plan, soundscape, task.recipe, _checksum(content))
    storage.replace(sound, content, PART)
    storage.replace(labels, described, PART)
    written = JsonFile(lambda content: summary(task.plan.name, content), CannotRead, "").parsed(described, labels)
    assert written is not None
    return replace(written, is_new=True)


def wav_of(samples: np.ndarray, rate_hz: int) -> bytes:
    """Samples (S,) int16 or float32 as a WAV file of one channel, with nothing in it but them."""
    if samples.dtype == np.float32:
        return wav(Clip("", Samples(samples, rate_hz), ()))
    with io.BytesIO() as file:
        with wave.open(file, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(rate_hz)
            sound.writeframes(samples.astype("<i2").tobytes())
        return file.getvalue()


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
