"""The inputs of inference: paths, folders and arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.audio.reader import SOUND_FILE_ENDINGS, AudioInput, Recording
from pannsdist.audio.verdicts import MAX_RATE_HZ, MIN_RATE_HZ, rate_fault
from pannsdist.runtime.errors import UserError

SoundInput = str | os.PathLike[str] | np.ndarray


def sound_files(paths: Iterable[Path]) -> list[Path]:
    """Files as given, and the sound files in folders, sorted by name. Raises UserError for what does not exist."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SOUND_FILE_ENDINGS and p.is_file())
            if not inside:
                raise UserError(f"folder {path} contains no sound file", f"looked for {', '.join(SOUND_FILE_ENDINGS)}")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise UserError(f"there is no file {path}", "give sound files or folders of them")
    return found


def sources(sounds: SoundInput | Sequence[SoundInput], sample_rate_hz: float | None) -> list[AudioInput]:
    """`sounds` as a list, in order, each folder replaced by its sound files; a single sound gives a list of one.

    An array is (S,) or (S, channels), floats in [-1, 1], at `sample_rate_hz`. Raises UserError, naming the input, for
    anything else, for arrays without a rate and for a rate without arrays.
    """
    given: Sequence[Any] = [sounds] if isinstance(sounds, str | os.PathLike | np.ndarray) else list(sounds)
    arrays = [isinstance(sound, np.ndarray) for sound in given]
    if sample_rate_hz is None and any(arrays):
        raise UserError("the sample rate of the arrays is missing", "give it as sample_rate_hz=")
    if sample_rate_hz is not None and rate_fault(sample_rate_hz):
        right = f"give a rate from {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz"
        raise UserError(f"sample_rate_hz is {sample_rate_hz}", right)
    if sample_rate_hz is not None and given and not any(arrays):
        raise UserError("sample_rate_hz is given, but there is no array", "leave it out: files contain their own rate")
    found: list[AudioInput] = []
    for index, sound in enumerate(given):
        if isinstance(sound, np.ndarray):
            found.append(_recording(f"sounds[{index}]", sound, float(sample_rate_hz or 0.0)))
        elif isinstance(sound, str | os.PathLike):
            found += sound_files([Path(sound).expanduser()])
        else:
            raise UserError(f"sounds[{index}] is a {type(sound).__name__}", "give paths, or numpy arrays of samples")
    return found


def _recording(name: str, samples: np.ndarray, rate_hz: float) -> Recording:
    if samples.dtype.kind != "f":
        right = "give floats in [-1, 1]; divide 16-bit samples by 32768"
        raise UserError(f"{name} is of dtype {samples.dtype}", right)
    if samples.ndim not in (1, 2):
        raise UserError(f"{name} has {samples.ndim} dimensions", "give (samples,) or (samples, channels)")
    if samples.ndim == 2 and samples.shape[1] > samples.shape[0] > 0:
        right = f"give (samples, channels), transposed with .T; give {len(samples)} sounds as a list of arrays"
        raise UserError(f"{name} has the shape {samples.shape}, with more channels than samples", right)
    return Recording(name, samples, rate_hz)
