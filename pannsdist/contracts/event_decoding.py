"""From probabilities by frame to events: median filter, threshold, runs of frames. `detect` and metrics decode alike.

Axes: T frames, C classes, E events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["DecodedEvents", "decode", "median_filtered", "median_frames", "reached", "runs"]

DECIMALS = 6
"""Times are in whole microseconds: else 50 frames of 0.14 s would end after 7 s, in another segment of one second."""


@dataclass(frozen=True, eq=False)
class DecodedEvents:
    """Events in columns, sorted by onset, then by class: (E,) each.

    `columns` are class indices, `scores` the highest probability of each event. Times are in seconds.
    """

    columns: NDArray[np.int64]
    onsets_s: NDArray[np.float64]
    offsets_s: NDArray[np.float64]
    scores: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.columns)


def reached(probabilities: ArrayLike, thresholds: ArrayLike) -> NDArray[np.bool_]:
    """Where probabilities (..., C) are at least the thresholds, () or (C,).

    Both are compared as float32, which a network computes in: 0.7 is 0.7.
    """
    return np.asarray(np.asarray(probabilities, np.float32) >= np.asarray(thresholds, np.float32))


def median_frames(seconds: ArrayLike, frame_s: float) -> NDArray[np.int64]:
    """The odd number of frames nearest to a length in seconds, the larger one of two; 1 for 0 s: no filter."""
    halves = np.floor(np.asarray(seconds, np.float64) / frame_s / 2 + 1e-9)
    return np.asarray(2 * halves + 1, np.int64)


def median_filtered(values: NDArray[np.floating], frames: ArrayLike) -> NDArray[np.floating]:
    """Running median over time of (T, C), `frames` long: an odd number, () or (C,), for each class.

    Beyond its ends a clip is mirrored, its first and last frame included, as in the baselines of DCASE. The median of
    logits is the logit of the median of probabilities. Raises ValueError for even lengths.
    """
    from scipy.ndimage import median_filter

    lengths = np.broadcast_to(np.asarray(frames, np.int64), values.shape[1:])
    if (lengths < 1).any() or (lengths % 2 == 0).any():
        raise ValueError(f"median filters of {sorted(set(lengths.tolist()))} frames; odd numbers are possible")
    filtered = values.copy()
    for length in set(lengths.tolist()) - {1}:
        alike, reach = lengths == length, length // 2
        # Mirrored here: scipy 1.17 is wrong at the ends of 2 frames under a filter of 17, which it mirrors repeatedly.
        mirrored = np.pad(values[:, alike], ((reach, reach), (0, 0)), mode="symmetric")
        filtered[:, alike] = median_filter(mirrored, size=(length, 1))[reach : reach + len(values)]
    return filtered


def runs(active: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The runs of active frames in rows (R, T), by row and time: rows, first frames, frames behind."""
    edged = np.pad(active.astype(np.int8), ((0, 0), (1, 1)))
    steps = np.diff(edged, axis=1)
    rows, first = np.nonzero(steps > 0)
    return rows, first, np.nonzero(steps < 0)[1]


def decode(
    probabilities: NDArray[np.floating],
    thresholds: ArrayLike,
    frame_s: float,
    duration_s: float,
    median: ArrayLike = 1,
) -> DecodedEvents:
    """The events of a clip of `duration_s` from probabilities (T, C): runs of frames that reach the threshold.

    Frame t lasts from `t * frame_s` to `(t + 1) * frame_s`; all T frames begin within the clip, and events end with it.
    `thresholds` and the lengths of the `median` filter, an odd number of frames, are () or (C,).
    """
    filtered = median_filtered(probabilities, median)
    columns, first, behind = runs(reached(filtered, thresholds).T)
    peaks = np.array(
        [filtered[start:stop, column].max() for column, start, stop in zip(columns, first, behind, strict=True)],
        filtered.dtype,
    )
    onsets_s = np.round(first * frame_s, DECIMALS)
    offsets_s = np.minimum(np.round(behind * frame_s, DECIMALS), np.round(duration_s, DECIMALS))
    order = np.lexsort((columns, onsets_s))
    return DecodedEvents(columns[order].astype(np.int64), onsets_s[order], offsets_s[order], peaks[order])
