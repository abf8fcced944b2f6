"""Waveform augmentations, applied in order, each with its own random generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pannsdist.audio.clip_reader import ClipReader
from pannsdist.contracts import Clip, Event, shown
from pannsdist.runtime.errors import BadClip, BrokenPlugin, UserError

Events = tuple[Event, ...] | None
WHOLE = 1 << 62
"""More samples than any file has."""


@dataclass(frozen=True)
class Augmentation:
    """An augmentation plugin, its name in the settings, and the probability of applying it to a clip."""

    name: str
    probability: float
    plugin: Callable[..., np.ndarray]

    def with_events(
        self, waveform: np.ndarray, rate_hz: int, generator: np.random.Generator, events: Events
    ) -> tuple[np.ndarray, Events]:
        """What `apply` returns, and where the events are in it; None of a clip that has none marked."""
        if events is None or not hasattr(self.plugin, "with_events"):
            return self.apply(waveform, rate_hz, generator), events
        changed, moved = self.plugin.with_events(waveform, rate_hz, generator, events)
        return changed, tuple(moved)

    def apply(self, waveform: np.ndarray, rate_hz: int, generator: np.random.Generator) -> np.ndarray:
        """What the plugin returns for (S,) float32. One that has `sounds` also gets the reader of clips for them.

        Raises UserError for one of its sounds that cannot be used: not BadClip, since the clip is a good one.
        """
        if not getattr(self.plugin, "sounds", ()):
            return self.plugin(waveform, rate_hz, generator)

        def read(path: Path, samples: int | None = None) -> np.ndarray:
            try:
                found = ClipReader(rate_hz, samples or WHOLE).crop(Clip(path.name, path, ()), generator).waveform
            except BadClip as error:
                wrong = f"a sound of the augmentation '{self.name}' cannot be used: {error.wrong}"
                raise UserError(wrong, f"repair or remove it: {shown(path)}") from error
            return found[:samples]

        return self.plugin(waveform, rate_hz, generator, read)


def augment(
    waveform: np.ndarray,
    events: Events,
    rate_hz: int,
    augmentations: Sequence[Augmentation],
    generator_for: Callable[[str], np.random.Generator],
) -> tuple[np.ndarray, Events]:
    """(S,) float32 -> (S,) float32, with the events that move with it. Raises BrokenPlugin for any other result.

    A plugin may change what it gets: it is a copy, since the waveform may be a view of a cache, or of the data set.

    `generator_for` gives the clip's generator for the augmentation of a name, so that adding or removing one
    augmentation leaves the random numbers of the others as they were.
    """
    own = waveform
    for augmentation in augmentations:
        generator = generator_for(augmentation.name)
        if generator.random() >= augmentation.probability:
            continue
        waveform = waveform.copy() if waveform is own else waveform
        length = len(waveform)
        waveform, events = augmentation.with_events(waveform, rate_hz, generator, events)
        if waveform.shape != (length,) or waveform.dtype != np.float32 or not np.isfinite(waveform).all():
            got = f"shape {waveform.shape}, {waveform.dtype}, {np.count_nonzero(~np.isfinite(waveform))} not finite"
            raise BrokenPlugin(
                f"augmentation '{augmentation.name}' returned {got}", f"it must return ({length},) float32"
            )
    return waveform, events
