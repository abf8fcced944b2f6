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
"""So many frames are smoothed together."""


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
    smooth = smoothed(timeline, rule.median_frames) if any(length > 1 for length in rule.median_frames) else timeline
    merged = _without_gaps(_runs(smooth, labels, rule), rule.min_gap_s)
    return [event for event in merged if event.offset_s - event.onset_s >= rule.min_duration_s - TOUCHING_S]


def smoothed(timeline: Iterable[WindowScores], lengths: Sequence[int]) -> Iterator[WindowScores]:
    """The frames of a timeline after a running median of so many frames for each class (C,), in constant memory.

    The result is that of `median_filtered` on all frames of the sound together: both ends of it are mirrored.
    """
    reach = max(lengths) // 2
    pending: list[WindowScores] = []
    done = 0  # of the pending frames, those that are there for the median of later ones alone
    for frame in timeline:
        pending.append(frame)
        if len(pending) == done + BLOCK_FRAMES + reach:
            yield from _medians(pending, range(done, done + BLOCK_FRAMES), lengths)
            first = max(0, done + BLOCK_FRAMES - reach)
            done, pending = done + BLOCK_FRAMES - first, pending[first:]
    yield from _medians(pending, range(done, len(pending)), lengths)


def _medians(frames: Sequence[WindowScores], places: range, lengths: Sequence[int]) -> Iterator[WindowScores]:
    """Some of the frames after the median filter over all of them, whose ends are mirrored."""
    if places:
        filtered = median_filtered(np.stack([frame.output for frame in frames]), lengths)
        yield from (replace(frames[place], output=filtered[place]) for place in places)


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
        for index in map(int, np.flatnonzero(rule.reached(window.output) & (not window.is_unknown))):
            score, previous = float(window.output[index]), active.get(index)
            if previous is not None and window.onset_s <= previous.offset_s + TOUCHING_S:
                active[index] = Event(previous.onset_s, window.offset_s, previous.label, max(previous.score, score))
                continue
            if previous is not None:
                found.append(previous)
            active[index] = Event(window.onset_s, window.offset_s, labels[index], score)
    return sorted([*found, *active.values()], key=lambda event: (event.onset_s, event.label))
