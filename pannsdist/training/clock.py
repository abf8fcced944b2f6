"""Speed, waiting and time left, from what was really measured in this run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from pannsdist.contracts import Pace


class Clock:
    """The clock of a run of `total_steps` steps in epochs of `steps`. Each process has its own; rank 0's counts."""

    def __init__(self, steps: int, total_steps: int) -> None:
        self._steps, self._total_steps = steps, total_steps
        self._training_s, self._made = 0.0, 0
        self._between_epochs_s = 0.0
        self._start = self._saved = time.monotonic()
        self.start_epoch(0)

    def start_epoch(self, step: int) -> None:
        """The first batch after `step` steps of the run is about to be asked for."""
        self._epoch_start = self._window_start = time.monotonic()
        self._waited_s, self._seen = 0.0, step

    def end_epoch(self) -> float:
        """The epoch is trained and evaluated; gives its seconds, as far as they were spent in this process."""
        now = time.monotonic()
        self._between_epochs_s = now - self._window_start
        return now - self._epoch_start

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time of the block as spent waiting for data."""
        before = time.monotonic()
        yield
        self._waited_s += time.monotonic() - before

    def pace(self, step: int, clips: float) -> Pace:
        """What the steps since the last call came to: `clips` clips of all processes, up to this step of the run."""
        now = time.monotonic()
        seconds = max(1e-9, now - self._window_start)
        self._training_s += seconds
        self._made += step - self._seen
        left_s = (self._total_steps - step) * self._training_s / max(1, self._made)
        left_s += (-(-self._total_steps // self._steps) - (step - 1) // self._steps) * self._between_epochs_s
        pace = Pace(clips / seconds, self._waited_s / seconds, left_s)
        self._window_start, self._waited_s, self._seen = now, 0.0, step
        return pace

    def is_up(self, minutes: float | None) -> bool:
        """Whether the run has been under way for so many minutes."""
        return minutes is not None and time.monotonic() - self._start >= 60 * minutes

    def is_save_due(self, minutes: float | None) -> bool:
        """Whether so many minutes have gone by since the last save."""
        return minutes is not None and time.monotonic() - self._saved >= 60 * minutes

    def saved(self) -> None:
        """A checkpoint was handed over just now."""
        self._saved = time.monotonic()
