"""What must hold for the events of a clip, whichever plugin lists them. Axes: N clips, K events of all of them."""

from __future__ import annotations

import math
from collections.abc import Set

import numpy as np

from pannsdist.contracts.clip_lists import ClipList
from pannsdist.contracts.records import Clip, Event, labels_of_events
from pannsdist.contracts.sound_labels import END_TOLERANCE_S

__all__ = ["are_events_plain", "event_fault"]


def event_fault(clip: Clip, known: Set[str], multi_label: bool) -> tuple[str, str]:
    """(what is wrong with the events of a clip, what would be right); both empty for a clip that can be used."""
    if not clip.is_labelled:
        has = "events" if clip.events is not None else f"labels, {clip.labels}" if clip.labels else ""
        right = "a clip of which nothing is known has no labels, and events=None"
        return (f"is not labelled, and yet has {has}", right) if has else ("", "")
    if clip.events is None:
        return "", ""
    if not multi_label:
        return "has events, but the dataset says that a clip has one label", "with events, multi_label is True"
    faults = (_fault_of_one(event, clip.duration_s, known) for event in clip.events)
    fault = next(filter(None, faults), None)
    sounding = labels_of_events(clip.events)
    if fault is None and set(clip.labels) != set(sounding):
        return f"is labelled {clip.labels}, but its events are {sounding}", "labels are labels_of_events(events)"
    return fault or ("", "")


def _fault_of_one(event: Event, duration_s: float | None, known: Set[str]) -> tuple[str, str] | None:
    named = f"has the event {event.label!r} from {event.onset_s} to {event.offset_s} s"
    if event.label not in known:
        return named, "the label of an event is one of the dataset's list"
    if not 0 <= event.onset_s < event.offset_s < math.inf:
        return named, "an event starts at 0 or later, in seconds from the start of its clip, and ends after that"
    if duration_s is not None and event.offset_s > duration_s + END_TOLERANCE_S:
        return f"{named}, and lasts {duration_s} s", "an event lies within its clip"
    return None


def are_events_plain(clips: ClipList, known: Set[str], multi_label: bool) -> bool:
    """Whether no clip in columns has an `event_fault`, by the columns alone."""
    events, labels = clips.events, clips.labels
    if clips.is_labelled is not None:
        has_any = labels.lengths > 0 if events is None else (labels.lengths > 0) | events.is_strong
        if has_any[~clips.is_labelled].any():
            return False
    if events is None:
        return True
    flat, rows = events.places.flat, events.places.rows
    onsets_s, offsets_s, numbers = events.onsets_s[flat], events.offsets_s[flat], events.labels[flat]
    is_known = np.array([name in known for name in clips.label_names], bool)
    is_good = (onsets_s >= 0) & (onsets_s < offsets_s) & (offsets_s < math.inf) & is_known[numbers]
    if clips.durations_s is not None:
        is_good &= ~(offsets_s > clips.durations_s[rows] + END_TOLERANCE_S)
    size, of_strong = len(clips.label_names), events.is_strong[labels.rows]
    sounding = np.unique(rows * size + numbers)
    given = np.unique(labels.rows[of_strong] * size + labels.flat[of_strong])
    return bool((multi_label or not events.is_strong.any()) and is_good.all() and np.array_equal(sounding, given))
