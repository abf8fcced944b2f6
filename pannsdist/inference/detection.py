"""Sound event detection: from window scores to events with onset and offset."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pannsdist.contracts.event_decoding import median_filtered, median_frames, reached
from pannsdist.inference.decisions import Decisions
from pannsdist.runtime.errors import UserError

TOUCHING_S = 1e-6
BLOCK_FRAMES = 1024
"""So many frames of a recording are smoothed together."""


@dataclass(frozen=True)
class Rule:
    """When a label counts as detected: its threshold; events of a label less than `min_gap_s` apart are merged.

    Events that are then shorter than `min_duration_s` are dropped. `thresholds` (C,), if given, are those of each
    class, in place of the one `threshold`; `median_frames` (C,), if given, are the lengths of the median filters that
    smooth the frames of each class before. Raises UserError for values out of range.
    """

    threshold: float = 0.3
    min_duration_s: float = 0.0
    min_gap_s: float = 0.0
    thresholds: tuple[float, ...] = ()
    median_frames: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise UserError(f"the threshold is {self.threshold:g}", "give a probability above 0, up to 1")
        for name in ("min_duration_s", "min_gap_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name} is {getattr(self, name):g}", "give seconds, 0 or more")

    def reached(self, probabilities: np.ndarray | float) -> np.ndarray:
        """Where probabilities are at least the threshold. Both as float32, which a network computes in: 0.7 is 0.7."""
        return reached(probabilities, np.asarray(self.thresholds) if self.thresholds else self.threshold)


def decided_rule(
    decisions: Decisions, frame_s: float, threshold: float | None, min_duration_s: float, min_gap_s: float
) -> Rule:
    """The rule of decisions, on frames of a length in seconds, or on windows: 0.

    Frames have thresholds and median filters of their own where they were fitted; `threshold` takes the place of the
    thresholds, and the median filters stay. Raises UserError for values out of range.
    """
    thresholds, median = decisions.thresholds, ()
    if frame_s and decisions.frame_thresholds:
        thresholds = decisions.frame_thresholds
        median = tuple(median_frames(decisions.median_s, frame_s).tolist())
    if threshold is not None:
        return Rule(threshold, min_duration_s, min_gap_s, median_frames=median)
    return Rule(decisions.threshold, min_duration_s, min_gap_s, thresholds, median)


@dataclass(frozen=True)
class WindowScores:
    """The output of a network for one window or frame: probabilities (C,), or an embedding (E,).

    `is_unknown` where the model decides that its sound is of no class: then it has no event.
    """

    onset_s: float
    offset_s: float
    output: np.ndarray
    is_unknown: bool = False


@dataclass(frozen=True)
class Event:
    """A label detected without a break; `score` is its highest probability."""

    onset_s: float
    offset_s: float
    label: str
    score: float


def events(timeline: Iterable[WindowScores], labels: Sequence[str], rule: Rule) -> list[Event]:
    """Events from a timeline of probabilities, sorted by onset, then by label.

    Consecutive or overlapping windows in which a label's probability, after the median filter of the rule, is at least
    the threshold are one event.
    """
    finder = EventFinder(labels, rule, block_frames=BLOCK_FRAMES)
    found = [event for window in timeline for event in finder.add([window])]
    return sorted([*found, *finder.rest()], key=_order)


def smoothed(timeline: Iterable[WindowScores], lengths: Sequence[int]) -> Iterator[WindowScores]:
    """The frames of a timeline after the `Smoothing` of a whole sound, in constant memory."""
    smoothing = Smoothing(lengths, BLOCK_FRAMES)
    for frame in timeline:
        yield from smoothing.add([frame])
    yield from smoothing.rest()


class Smoothing:
    """A running median of so many frames for each class (C,), while frames arrive, in constant memory.

    The result is that of `median_filtered` on all frames of the sound together: both ends of it are mirrored. A frame
    comes out once half a filter has followed it, and `block_frames` of them can come out together.
    """

    def __init__(self, lengths: Sequence[int], block_frames: int = 1) -> None:
        self._lengths, self._block_frames, self._reach = lengths, block_frames, max(lengths) // 2
        self._pending: list[WindowScores] = []
        self._done = 0  # of the pending frames, those that are there for the median of later ones alone

    def add(self, frames: Iterable[WindowScores]) -> Iterator[WindowScores]:
        """The frames that these complete; consume all of them."""
        self._pending.extend(frames)
        end = len(self._pending) - self._reach
        if end - self._done >= self._block_frames:
            yield from self._medians(end)
            first = max(0, end - self._reach)
            self._done, self._pending = end - first, self._pending[first:]

    def rest(self) -> Iterator[WindowScores]:
        """The frames behind these, after the last one."""
        return self._medians(len(self._pending))

    def _medians(self, end: int) -> Iterator[WindowScores]:
        """The pending frames up to one after the median filter over all of them, whose ends are mirrored."""
        if self._done < end:
            filtered = median_filtered(np.stack([frame.output for frame in self._pending]), self._lengths)
            yield from (replace(self._pending[at], output=filtered[at]) for at in range(self._done, end))


class EventFinder:
    """Finds the events of a sound while its windows or frames arrive, by a rule; each once nothing can change it.

    A window begins at least `step_s` behind the one before it. An event is decided once none that can still come
    touches it, or begins within the rule's gap behind it. In constant memory.
    """

    def __init__(self, labels: Sequence[str], rule: Rule, step_s: float = 0.0, block_frames: int = 1) -> None:
        self._labels, self._rule, self._step_s = labels, rule, step_s
        is_smooth = any(length > 1 for length in rule.median_frames)
        self._smoothing = Smoothing(rule.median_frames, block_frames) if is_smooth else None
        self._open: dict[int, Event] = {}

    def add(self, timeline: Iterable[WindowScores]) -> list[Event]:
        """The events that the next windows decide, in the order in which they do."""
        smooth = timeline if self._smoothing is None else self._smoothing.add(timeline)
        return [event for window in smooth for event in self._decided_by(window)]

    def rest(self) -> list[Event]:
        """The remaining events, after the last window."""
        smooth = () if self._smoothing is None else self._smoothing.rest()
        found = [event for window in smooth for event in self._decided_by(window)]
        left, self._open = self._open, {}
        return found + self._long_enough(left.values())

    def _decided_by(self, window: WindowScores) -> list[Event]:
        decided: list[Event] = []
        for index in map(int, np.flatnonzero(self._rule.reached(window.output) & (not window.is_unknown))):
            score, previous = float(window.output[index]), self._open.get(index)
            if previous is not None and not self._goes_on(previous, window.onset_s):
                decided.append(previous)
                previous = None
            begun = previous or Event(window.onset_s, window.offset_s, self._labels[index], score)
            self._open[index] = replace(begun, offset_s=window.offset_s, score=max(begun.score, score))
        later_s = window.onset_s + self._step_s
        ended = [index for index, event in self._open.items() if not self._goes_on(event, later_s)]
        return self._long_enough([*decided, *map(self._open.pop, ended)])

    def _goes_on(self, event: Event, onset_s: float) -> bool:
        """Whether a window of its label that begins then belongs to an event."""
        gap_s = onset_s - event.offset_s
        return onset_s <= event.offset_s + TOUCHING_S or gap_s < self._rule.min_gap_s - TOUCHING_S

    def _long_enough(self, found: Iterable[Event]) -> list[Event]:
        least_s = self._rule.min_duration_s - TOUCHING_S
        return sorted((event for event in found if event.offset_s - event.onset_s >= least_s), key=_order)


def _order(event: Event) -> tuple[float, str]:
    return event.onset_s, event.label
