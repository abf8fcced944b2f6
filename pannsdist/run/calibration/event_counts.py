"""Detected events that are right, counted: onset and offset within a collar, each reference matched once.

Axes: N clips, T frames, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.special import expit

from pannsdist.contracts import Event
from pannsdist.contracts.event_decoding import DECIMALS, decode, median_frames
from pannsdist.contracts.predictions import FramePredictions

COLLAR_S, OFFSET_FRACTION = 0.2, 0.2
"""As in DCASE task 4: an offset may err by a fifth of the length of its event where that is more than the collar."""
ROUNDING_S = 0.5 * 10.0**-DECIMALS


@dataclass(frozen=True, eq=False)
class Spans:
    """Events of one class over all clips, sorted by clip, then onset: (E,) each. Times are in seconds."""

    clips: NDArray[np.int64]
    onsets_s: NDArray[np.float64]
    offsets_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.clips)


@dataclass(frozen=True)
class Counts:
    """Of one class: reference events, detected ones, and those of both that match."""

    references: int = 0
    detected: int = 0
    hits: int = 0

    @property
    def f1(self) -> float:
        """0 where nothing matches."""
        return 2.0 * self.hits / max(1, self.references + self.detected)

    @property
    def precision(self) -> float:
        """0 where nothing is detected."""
        return self.hits / max(1, self.detected)

    @property
    def recall(self) -> float:
        """0 without a reference."""
        return self.hits / max(1, self.references)


def reference_spans(frames: FramePredictions) -> list[Spans]:
    """The reference events of each class (C); those that overlap or touch in a clip are one."""
    columns = {label: column for column, label in enumerate(frames.labels)}
    found: list[list[tuple[int, float, float]]] = [[] for _ in columns]
    for clip, events in enumerate(frames.events):
        for column, onset_s, offset_s in _joined(events, columns):
            found[column].append((clip, onset_s, offset_s))
    return [spans(rows) for rows in found]


def _joined(events: Sequence[Event], columns: dict[str, int]) -> Iterable[tuple[int, float, float]]:
    rows = ((columns[one.label], round(one.onset_s, DECIMALS), round(one.offset_s, DECIMALS)) for one in events)
    last: tuple[int, float, float] | None = None
    for column, onset_s, offset_s in sorted(rows):
        if last is not None and last[0] == column and onset_s <= last[2]:
            last = (column, last[1], max(last[2], offset_s))
            continue
        if last is not None:
            yield last
        last = (column, onset_s, offset_s)
    if last is not None:
        yield last


def spans(rows: Sequence[tuple[int, float, float]]) -> Spans:
    """From (clip, onset, offset) of each event."""
    columns = np.array(sorted(rows), np.float64).reshape(-1, 3)
    return Spans(columns[:, 0].astype(np.int64), columns[:, 1], columns[:, 2])


def matched(reference: Spans, detected: Spans) -> int:
    """The most pairs of a reference and a detected event of one clip with onset and offset within the collar.

    Each event is in one pair at most. Times are compared in whole microseconds.
    """
    if not len(reference) or not len(detected):
        return 0
    ends = np.concatenate([reference.offsets_s, detected.offsets_s])
    apart = float(ends.max()) + 10.0 * COLLAR_S  # a clip begins so long after the one before
    wanted, given = (one.clips * apart + one.onsets_s for one in (reference, detected))
    first = np.searchsorted(given, wanted - COLLAR_S - ROUNDING_S)
    behind = np.searchsorted(given, wanted + COLLAR_S + ROUNDING_S, side="right")
    count = behind - first
    rows = np.repeat(np.arange(len(wanted)), count)
    columns = np.arange(len(rows)) + np.repeat(first - (np.cumsum(count) - count), count)
    lengths_s = (reference.offsets_s - reference.onsets_s)[rows]
    error_s = np.abs(reference.offsets_s[rows] - detected.offsets_s[columns])
    near = error_s <= np.maximum(COLLAR_S, OFFSET_FRACTION * lengths_s) + ROUNDING_S
    rows, columns = rows[near], columns[near]
    pairs = csr_array((np.ones(len(rows)), (rows, columns)), (len(wanted), len(given)))
    return int((maximum_bipartite_matching(pairs, perm_type="column") >= 0).sum())


def event_counts(
    frames: FramePredictions, temperature: float, thresholds: Sequence[float], median_s: Sequence[float]
) -> list[Counts]:
    """The counts of each class (C), decoded with its threshold and median filter, as `detect` decodes a clip."""
    found: list[list[tuple[int, float, float]]] = [[] for _ in frames.labels]
    median = median_frames(np.asarray(median_s), frames.frame_s)
    clips = zip(frames.logits, frames.frames, frames.durations_s.tolist(), strict=True)
    for clip, (logits, count, duration_s) in enumerate(clips):
        probabilities = expit(logits[:count].astype(np.float64) / temperature)
        own = decode(probabilities, np.asarray(thresholds), frames.frame_s, duration_s, median)
        for column, *times in zip(own.columns.tolist(), own.onsets_s.tolist(), own.offsets_s.tolist(), strict=True):
            found[column].append((clip, *times))
    detected = [spans(rows) for rows in found]
    pairs = zip(reference_spans(frames), detected, strict=True)
    return [Counts(len(reference), len(given), matched(reference, given)) for reference, given in pairs]
