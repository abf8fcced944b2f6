"""Speed, waiting and time left, from what was really measured in this run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Some steps that were made: clips in a second, the share of the time spent waiting for data, seconds left."""

    clips_per_s: float
    data_wait_share: float
    left_s: float


class Clock:
    """The clock of a run of `epochs` epochs of `steps` steps. Each process has its own; rank 0's is shown."""

    def __init__(self, steps: int, epochs: int) -> None:
        self._steps, self._epochs = steps, epochs
        self._training_s, self._made = 0.0, 0
        self._between_epochs_s = 0.0
        self.start_epoch()

    def start_epoch(self) -> None:
        """An epoch's first batch is about to be asked for."""
        self._epoch_start = self._window_start = time.monotonic()
        self._waited_s, self._seen = 0.0, 0

    def end_epoch(self) -> float:
        """The epoch is trained, evaluated and saved; gives its seconds."""
        now = time.monotonic()
        self._between_epochs_s = now - self._window_start
        return now - self._epoch_start

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time of the block as spent waiting for data."""
        before = time.monotonic()
        yield
        self._waited_s += time.monotonic() - before

    def pace(self, epoch: int, epoch_step: int, clips: float) -> Pace:
        """What the steps since the last call came to: `clips` clips of all processes, up to this step of the epoch."""
        now = time.monotonic()
        seconds = max(1e-9, now - self._window_start)
        self._training_s += seconds
        self._made += epoch_step - self._seen
        epochs_left = self._epochs - epoch
        left_s = (epochs_left * self._steps + self._steps - epoch_step) * self._training_s / self._made
        left_s += (epochs_left + 1) * self._between_epochs_s
        pace = Pace(clips / seconds, self._waited_s / seconds, left_s)
        self._window_start, self._waited_s, self._seen = now, 0.0, epoch_step
        return pace
