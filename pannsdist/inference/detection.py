"""Sound events: which label is heard from when to when."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pannsdist.runtime.errors import UserError

TOUCHING_S = 1e-6


@dataclass(frozen=True)
class Rule:
    """When a label counts as heard: from which probability; events with a shorter silence between them are one.

    What is then shorter than `min_duration_s` is dropped.
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


@dataclass(frozen=True)
class WindowScores:
    """What a network answers about a stretch of a file: probabilities (C,), or an embedding (E,)."""

    onset_s: float
    offset_s: float
    answer: np.ndarray


@dataclass(frozen=True)
class Event:
    """A label that is heard without a break; `score` is its highest probability on the way."""

    onset_s: float
    offset_s: float
    label: str
    score: float


def events(timeline: Iterable[WindowScores], labels: Sequence[str], rule: Rule) -> list[Event]:
    """Events out of a timeline of probabilities, by onset, then by label.

    A label is heard while its probability is the rule's threshold or more; moments that touch or overlap are one event.
    """
    joined = _without_gaps(_runs(timeline, labels, rule.threshold), rule.min_gap_s)
    return [event for event in joined if event.offset_s - event.onset_s >= rule.min_duration_s - TOUCHING_S]


def _without_gaps(found: Iterable[Event], min_gap_s: float) -> list[Event]:
    """Events of one label with less than `min_gap_s` of silence between them become one; the order stays."""
    joined: list[Event] = []
    last: dict[str, int] = {}
    for event in found:
        place = last.get(event.label)
        if place is None or event.onset_s - joined[place].offset_s >= min_gap_s - TOUCHING_S:
            last[event.label] = len(joined)
            joined.append(event)
        else:
            score = max(joined[place].score, event.score)
            joined[place] = replace(joined[place], offset_s=event.offset_s, score=score)
    return joined


def _runs(timeline: Iterable[WindowScores], labels: Sequence[str], threshold: float) -> list[Event]:
    """Stretches without a break in which a label's probability is `threshold` or more, by onset, then by label."""
    found: list[Event] = []
    under_way: dict[int, Event] = {}
    for moment in timeline:
        for index in map(int, np.flatnonzero(moment.answer >= threshold)):
            score, before = float(moment.answer[index]), under_way.get(index)
            if before is not None and moment.onset_s <= before.offset_s + TOUCHING_S:
                under_way[index] = Event(before.onset_s, moment.offset_s, before.label, max(before.score, score))
                continue
            if before is not None:
                found.append(before)
            under_way[index] = Event(moment.onset_s, moment.offset_s, labels[index], score)
    return sorted([*found, *under_way.values()], key=lambda event: (event.onset_s, event.label))
