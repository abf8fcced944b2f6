"""Predictions by frame of a split, and its reference events, for metrics of sound events.

Axes: N clips, T frames, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.records import Event


@dataclass(frozen=True, eq=False)
class FramePredictions:
    """Logits of each frame, and the reference events, of the strongly labelled clips of a split.

    `logits` (N, T, C) float32; frame t is the sound from `t * frame_s` to `(t + 1) * frame_s`. Clip i lasts
    `durations_s[i]` (N,) float64: later frames are padding, and its `events` end by then. Several events of a class may
    overlap. Raises ValueError if shapes are inconsistent.
    """

    ids: tuple[str, ...]
    logits: NDArray[np.floating]
    frame_s: float
    durations_s: NDArray[np.float64]
    events: tuple[tuple[Event, ...], ...]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        clips = len(self.ids)
        if self.logits.ndim != 3 or (len(self.logits), self.logits.shape[2]) != (clips, len(self.labels)):
            raise ValueError(f"frame logits are {self.logits.shape}; {clips} ids, {len(self.labels)} labels")
        if self.durations_s.shape != (clips,) or len(self.events) != clips:
            raise ValueError(f"{self.durations_s.shape} durations and {len(self.events)} lists for {clips} clips")

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Probabilities (N, T, C) float64: of each class by itself."""
        from scipy.special import expit

        return np.asarray(expit(self.logits.astype(np.float64)))

    @property
    def frames(self) -> NDArray[np.int64]:
        """The number of frames of each clip that are not padding: (N,), at least 1."""
        wanted = np.ceil(self.durations_s / self.frame_s - 1e-6).astype(np.int64)
        return np.clip(wanted, 1, self.logits.shape[1])

    def take(self, rows: Sequence[int]) -> FramePredictions:
        """Some of the clips, in the order of `rows`."""
        ids, events = tuple(self.ids[row] for row in rows), tuple(self.events[row] for row in rows)
        chosen = np.asarray(rows, np.int64)
        return replace(self, ids=ids, logits=self.logits[chosen], durations_s=self.durations_s[chosen], events=events)

    def sorted_by_id(self) -> FramePredictions:
        """The same predictions, sorted by id."""
        return self.take(sorted(range(len(self.ids)), key=self.ids.__getitem__))
