"""Waveform augmentation plugins."""

from __future__ import annotations

from typing import Any

from pannsdist.contracts import Event, UserError, param, path_of
from pannsdist.contracts.file_lookup import is_folder
from pannsdist.contracts.sound_files import SoundFiles, find_sound_files


def probability() -> Any:
    """The param that every augmentation has."""
    return param(1.0, "probability of applying it to a clip", low=0.0, high=1.0)


def refuse_unordered(name: str, params: object, low: str, high: str) -> None:
    """Raise UserError if the lower limit of a range is above its upper limit."""
    below, above = getattr(params, low), getattr(params, high)
    if below > above:
        raise UserError(f"augment.{name}.{low} is {below}, above augment.{name}.{high}, which is {above}", "swap them")


def sound_files(name: str, folder: str) -> SoundFiles:
    """All audio files below the folder of an augmentation, sorted so that draws are the same on every machine."""
    root = path_of(folder)
    if not folder or not is_folder(root):
        wrong = f"augment.{name}.folder is '{folder}', which is not a folder"
        raise UserError(wrong, "give a folder with audio files")
    found = find_sound_files(root)
    if not found.files:
        raise UserError(f"augment.{name}.folder: no audio file in {root}", found.nothing)
    return found


def power(waveform: Any) -> float:
    """Mean square of a waveform."""
    import numpy as np

    return float(np.mean(np.square(waveform, dtype=np.float64)))


def moved_within(event: Event, factor: float, shift_s: float, whole_s: float) -> tuple[Event, ...]:
    """An event of which all times are multiplied and then shifted, cut at the ends of a clip; nothing outside of it."""
    onset_s = max(0.0, event.onset_s * factor + shift_s)
    offset_s = min(whole_s, event.offset_s * factor + shift_s)
    return (Event(onset_s, offset_s, event.label),) if offset_s > onset_s else ()
