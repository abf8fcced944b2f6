"""Targets of a network that answers by frame. Axes: T frames, C classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pannsdist.contracts import Clip, Event
from pannsdist.contracts.clip_lists import events_of


@dataclass(frozen=True)
class FrameGrid:
    """Frames of `frame_samples` at `rate_hz`, and C `classes`, of which `columns` has those of the events at hand."""

    frame_samples: int
    rate_hz: int
    classes: int
    columns: Mapping[str, int]

    @classmethod
    def of(cls, frame_samples: int, rate_hz: int, labels: Sequence[str]) -> FrameGrid:
        """The grid of all clips of a data set with these labels."""
        return cls(frame_samples, rate_hz, len(labels), {label: column for column, label in enumerate(labels)})

    def of_clips(self, clips: Sequence[Clip]) -> FrameGrid:
        """The same for some clips: it goes to a worker, so without the labels that none of their events has."""
        used = {event.label for events in events_of(clips) for event in events or ()}
        return replace(self, columns={label: self.columns[label] for label in sorted(used)})

    def frames(self, samples: int) -> int:
        """The frames T of so many samples."""
        return max(1, -(-samples // self.frame_samples))

    def targets(self, clip: Clip, labels: np.ndarray, events: Iterable[Event] | None, samples: int) -> np.ndarray:
        """Targets (T + 1, C) float32 of a crop of so many samples in which these events are; NaN is what nobody marked.

        Of each frame the part, from 0 to 1, that events of a class cover; in the last row whether the crop has the
        class: of a strongly labelled clip by its events, else by `labels` (C,) of the whole clip.
        """
        targets = np.full((self.frames(samples) + 1, self.classes), np.nan, np.float32)
        if not clip.is_labelled:
            return targets
        if events is None:
            targets[-1] = labels
            return targets
        targets[:] = 0.0
        edges = np.arange(len(targets)) * self.frame_samples
        for column, first, end in self._intervals(events):
            covered = np.minimum(end, edges[1:]) - np.maximum(first, edges[:-1])
            targets[:-1, column] += np.maximum(covered, 0.0) / self.frame_samples
            targets[-1, column] = 1.0
        return targets

    def _intervals(self, events: Iterable[Event]) -> Iterable[tuple[int, float, float]]:
        """(column, first, end) in samples, disjoint within a class."""
        by_class: dict[int, list[list[float]]] = {}
        for event in sorted(events, key=lambda event: event.onset_s):
            first, end = event.onset_s * self.rate_hz, event.offset_s * self.rate_hz
            found = by_class.setdefault(self.columns[event.label], [])
            if found and first <= found[-1][1]:
                found[-1][1] = max(found[-1][1], end)
            else:
                found.append([first, end])
        return ((column, first, end) for column, found in by_class.items() for first, end in found)


def events_within(events: Iterable[Event], first_s: float, end_s: float) -> tuple[Event, ...]:
    """The parts of events from `first_s` to `end_s`, in seconds from there; events outside of it are left out."""
    cut = (
        Event(max(event.onset_s, first_s) - first_s, min(event.offset_s, end_s) - first_s, event.label)
        for event in events
    )
    return tuple(event for event in cut if event.offset_s > event.onset_s)
