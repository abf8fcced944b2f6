"""Sound event detection: from window scores to events with onset and offset."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pannsdist.contracts.event_decoding import reached
from pannsdist.runtime.errors import UserError

TOUCHING_S = 1e-6


@dataclass(frozen=True)
class Rule:
    """When a label counts as detected: its threshold; events of a label less than `min_gap_s` apart are merged.

    Events that are then shorter than `min_duration_s` are dropped. Raises UserError for values out of range.
    """

    threshold: float = 0.3
    min_duration_s: float = 0.0
    min_gap_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise UserError(f"the threshold is {self.threshold:g}", "give a probability above 0, up to 1")
        for name in ("min_duration_s", "min_gap_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name} is {getattr(self, name):g}", "give seconds, 0 or more")

    def reached(self, probabilities: np.ndarray | float) -> np.ndarray:
        """Where probabilities are at least the threshold. Both as float32, which a network computes in: 0.7 is 0.7."""
        return reached(probabilities, self.threshold)


@dataclass(frozen=True)
class WindowScores:
    """The output of a network for one window or frame: probabilities (C,), or an embedding (E,)."""

    onset_s: float
    offset_s: float
    output: np.ndarray


@dataclass(frozen=True)
class Event:
    """A label detected without a break; `score` is its highest probability."""

    onset_s: float
    offset_s: float
    label: str
    score: float


def events(timeline: Iterable[WindowScores], labels: Sequence[str], rule: Rule) -> list[Event]:
    """Events from a timeline of probabilities, sorted by onset, then by label.

    Consecutive or overlapping windows in which a label's probability is at least the threshold are one event.
    """
    merged = _without_gaps(_runs(timeline, labels, rule), rule.min_gap_s)
    return [event for event in merged if event.offset_s - event.onset_s >= rule.min_duration_s - TOUCHING_S]


def _without_gaps(found: Iterable[Event], min_gap_s: float) -> list[Event]:
    """Merge events of one label less than `min_gap_s` apart; keeps the order."""
    merged: list[Event] = []
    last: dict[str, int] = {}
    for event in found:
        index = last.get(event.label)
        if index is None or event.onset_s - merged[index].offset_s >= min_gap_s - TOUCHING_S:
            last[event.label] = len(merged)
            merged.append(event)
        else:
            score = max(merged[index].score, event.score)
            merged[index] = replace(merged[index], offset_s=event.offset_s, score=score)
    return merged


def _runs(timeline: Iterable[WindowScores], labels: Sequence[str], rule: Rule) -> list[Event]:
    """Runs of windows in which a label's probability reaches the threshold, sorted by onset, then by label."""
    found: list[Event] = []
    active: dict[int, Event] = {}
    for window in timeline:
        for index in map(int, np.flatnonzero(rule.reached(window.output))):
            score, previous = float(window.output[index]), active.get(index)
            if previous is not None and window.onset_s <= previous.offset_s + TOUCHING_S:
                active[index] = Event(previous.onset_s, window.offset_s, previous.label, max(previous.score, score))
                continue
            if previous is not None:
                found.append(previous)
            active[index] = Event(window.onset_s, window.offset_s, labels[index], score)
    return sorted([*found, *active.values()], key=lambda event: (event.onset_s, event.label))
