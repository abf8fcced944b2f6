"""One soundscape: its background, its events at their levels, and what is written of it. Runs in worker processes.

Axes: S samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pannsdist.audio.reader import clip_name, clip_span
from pannsdist.audio.sixteen_bit import to_16_bit
from pannsdist.audio.sounds import clip_part, open_sound
from pannsdist.contracts import Clip
from pannsdist.run.mixing.listening import whole
from pannsdist.run.mixing.loudness import gain, loudness_of_any_level
from pannsdist.run.mixing.noise import coloured_noise, of_length
from pannsdist.run.mixing.planned import Plan, PlannedEvent
from pannsdist.run.mixing.recipe import Recipe
from pannsdist.runtime.errors import BadClip
from pannsdist.runtime.seeding import soundscape_generator

FULL_SCALE = 32767 / 32768
"""The highest level of 16 bits; a soundscape above it is scaled down as a whole."""


@dataclass(frozen=True)
class MixedEvent:
    """An event in a soundscape, and the loudness that its source had in LUFS."""

    planned: PlannedEvent
    source_lufs: float


@dataclass(frozen=True)
class Soundscape:
    """A mixed soundscape (S,), its events, and what must be known to make it again.

    `background_first` is the sample of the recording with which it begins. `scale` is below 1 where the whole was
    scaled down so as not to clip. `silent` counts events whose part of their source was digital silence: they are not
    in it.
    """

    waveform: np.ndarray
    events: tuple[MixedEvent, ...]
    background_first: int
    scale: float
    silent: int


def render(plan: Plan, recipe: Recipe) -> Soundscape:
    """Mix a soundscape. Raises BadClip for a source that changed or cannot be read any more."""
    background, first = _background(plan, recipe)
    loudness = loudness_of_any_level(background, recipe.rate_hz)
    if not math.isfinite(loudness):
        assert plan.background is not None
        wrong = f"it is silent for {recipe.duration_s:g} s from {first / recipe.rate_hz:.3f} s on"
        raise clip_name(plan.background).bad_clip(wrong, "cut it, so that all of it has a level")
    mixed = background * gain(loudness, recipe.background.level_lufs)
    events = []
    for planned in plan.events:
        event, source_lufs = _event(planned, recipe)
        if math.isfinite(source_lufs):
            mixed[planned.onset : planned.offset] += event
            events.append(MixedEvent(planned, source_lufs))
    peak = float(np.abs(mixed).max())
    scale = min(1.0, FULL_SCALE / peak)
    return Soundscape(mixed * scale, tuple(events), first, scale, len(plan.events) - len(events))


def _background(plan: Plan, recipe: Recipe) -> tuple[np.ndarray, int]:
    """The background (S,) float64 at its own level, and the sample of its recording with which it begins."""
    generator = soundscape_generator(recipe.seed, plan.split, plan.number, "background")
    if plan.background is None:
        return coloured_noise(recipe.background.noise, recipe.samples, recipe.rate_hz, generator), 0
    part, first = _part(plan.background, recipe, generator)
    return of_length(part, recipe.samples).astype(np.float64), first


def _part(clip: Clip, recipe: Recipe, generator: np.random.Generator) -> tuple[np.ndarray, int]:
    """As much of a recording as a soundscape needs, from a drawn sample on; all of a shorter one."""
    with open_sound(clip.source, clip_name(clip), recipe.rate_hz) as sound:
        clip_span(clip, sound.source)
        start, end = clip_part(clip, sound, recipe.rate_hz)
        first = start + int(generator.integers(max(0, end - start - recipe.samples) + 1))
        return sound.part(first, min(end, first + recipe.samples)), first - start


def _event(planned: PlannedEvent, recipe: Recipe) -> tuple[np.ndarray, float]:
    """An event (S,) float64 at its level, with its fades, and the loudness of its source in LUFS: -inf for silence."""
    clip = whole(planned.clip, recipe.rate_hz, recipe.trim.longest_clip_s)
    part = clip[planned.source_first : planned.source_first + planned.samples].astype(np.float64)
    if len(part) != planned.samples:
        raise _changed(planned)
    loudness = loudness_of_any_level(part, recipe.rate_hz)
    if not math.isfinite(loudness):
        return part, loudness
    part *= gain(loudness, recipe.background.level_lufs + planned.snr_db)
    fade = min(round(recipe.events.fade_s * recipe.rate_hz), planned.samples // 2)
    if fade:
        rising = np.sin(np.linspace(0, np.pi / 2, fade))
        part[:fade] *= rising
        part[-fade:] *= rising[::-1]
    return part, loudness


def _changed(planned: PlannedEvent) -> BadClip:
    return clip_name(planned.clip).bad_clip("it was changed while soundscapes were mixed of it")


def samples_of(waveform: np.ndarray, dtype: str) -> np.ndarray:
    """The samples that a file gets of a soundscape (S,): int16 or float32."""
    narrow = waveform.astype(np.float32)
    return to_16_bit(narrow) if dtype == "int16" else narrow
