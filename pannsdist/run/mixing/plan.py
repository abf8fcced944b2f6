"""What is in a soundscape, drawn from its own generator: a function of (seed, split, number) and of the sources."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pannsdist.run.mixing.planned import Plan, PlannedEvent
from pannsdist.run.mixing.recipe import CheckedRecipe
from pannsdist.run.mixing.sources import SourceClip, SplitSources
from pannsdist.runtime.seeding import soundscape_generator

TRIES = 100
"""Onsets that are drawn for an event until it finds a place."""


def plan(checked: CheckedRecipe, sources: SplitSources, split: str, number: int) -> Plan:
    """The soundscape of a number of a split."""
    generator = soundscape_generator(checked.recipe.seed, split, number, "plan")
    drawer = _Drawer(checked, sources, generator)
    background = _one_of(sources.backgrounds, generator) if sources.backgrounds else None
    wanted = int(checked.events.count.draw(generator))
    for _ in range(wanted):
        drawer.add()
    events = tuple(sorted(drawer.events, key=lambda event: (event.onset, event.offset, event.label)))
    return Plan(split, number, events, background, wanted - len(events))


class _Drawer:
    """Draws events one after the other, each with a place among those before it."""

    def __init__(self, checked: CheckedRecipe, sources: SplitSources, generator: np.random.Generator) -> None:
        self._recipe, self._drawn = checked.recipe, checked.events
        self._sources, self._generator = sources, generator
        self._labels = list(sources.by_label)
        self.events: list[PlannedEvent] = []

    def add(self) -> None:
        """Draw an event, and keep it if it finds a place."""
        clip = _one_of(self._sources.by_label[_one_of(self._labels, self._generator)], self._generator)
        first, samples = self._cut(clip)
        snr_db = self._drawn.snr_db.draw(self._generator)
        onset = self._place(clip.label, samples)
        if onset is not None:
            self.events.append(PlannedEvent(clip.clip, clip.label, first, samples, onset, snr_db))

    def _cut(self, clip: SourceClip) -> tuple[int, int]:
        """(first, samples) in the clip: of one of its sources, at most to the end of it and of the soundscape."""
        source = _one_of(clip.sources, self._generator)
        wanted = self._samples(self._drawn.duration_s.draw(self._generator))
        into = self._samples(self._drawn.source_time_s.draw(self._generator))
        first, end = source.cut(into, min(wanted, self._recipe.samples))
        return first, end - first

    def _place(self, label: str, samples: int) -> int | None:
        """An onset: as drawn; where it fits at none of many, the last one moved to before the end; else None."""
        last = self._recipe.samples - samples
        onset = 0
        for _ in range(TRIES):
            onset = self._samples(self._drawn.onset_s.draw(self._generator))
            if onset <= last and self._is_free(label, onset, onset + samples):
                return onset
        onset = min(onset, last)
        return onset if self._is_free(label, onset, onset + samples) else None

    def _is_free(self, label: str, onset: int, offset: int) -> bool:
        gap = self._samples(self._recipe.events.label_gap_s)
        alike = [one for one in self.events if one.label == label]
        if any(onset < one.offset + gap and one.onset < offset + gap for one in alike):
            return False
        starts = [onset, *(one.onset for one in self.events if onset <= one.onset < offset)]
        sounding = (sum(one.onset <= start < one.offset for one in self.events) for start in starts)
        return max(sounding) < self._recipe.events.most_at_once

    def _samples(self, seconds: float) -> int:
        return round(seconds * self._recipe.rate_hz)


def _one_of(items: Sequence, generator: np.random.Generator):  # type: ignore[no-untyped-def, type-arg]
    return items[int(generator.integers(len(items)))]
