"""Sound events: which label is heard from when to when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

TOUCHING_S = 1e-6


@dataclass(frozen=True)
class Moment:
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


def events(timeline: Iterable[Moment], labels: Sequence[str], threshold: float) -> list[Event]:
    """Events out of a timeline of probabilities.

    A label is heard while its probability is `threshold` or more; moments that touch or overlap are one event. By
    onset, then by label.
    """
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
