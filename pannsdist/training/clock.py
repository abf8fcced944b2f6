"""Throughput, data waiting time and remaining time, measured with the monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from pannsdist.contracts import Pace


class Clock:
    """Times a run of `total_steps` steps with `steps` steps per epoch. Each process has one; rank 0's decides."""

    def __init__(self, steps: int, total_steps: int) -> None:
        self._steps, self._total_steps = steps, total_steps
        self._training_s, self._measured_steps = 0.0, 0
        self._between_epochs_s = 0.0
        self._start = self._save_time = time.monotonic()
        self.start_epoch(0)

    def start_epoch(self, step: int) -> None:
        """Start an epoch, before its first batch is requested; `step` steps of the run are done."""
        self._epoch_start = self._window_start = time.monotonic()
        self._waited_s, self._window_step = 0.0, step

    def end_epoch(self) -> float:
        """End an epoch after its evaluation; returns its seconds in this process."""
        now = time.monotonic()
        self._between_epochs_s = now - self._window_start
        return now - self._epoch_start

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time of the block as waiting for data."""
        before = time.monotonic()
        yield
        self._waited_s += time.monotonic() - before

    def pace(self, step: int, clips: float) -> Pace:
        """The pace since the last call: `clips` clips of all processes were trained on, up to `step`."""
        now = time.monotonic()
        seconds = max(1e-9, now - self._window_start)
        self._training_s += seconds
        self._measured_steps += step - self._window_step
        left_s = (self._total_steps - step) * self._training_s / max(1, self._measured_steps)
        left_s += (-(-self._total_steps // self._steps) - (step - 1) // self._steps) * self._between_epochs_s
        pace = Pace(clips / seconds, self._waited_s / seconds, left_s, now - self._start)
        self._window_start, self._waited_s, self._window_step = now, 0.0, step
        return pace

    def is_time_up(self, minutes: float | None) -> bool:
        """Whether `minutes` minutes have passed since the start; False for None."""
        return minutes is not None and time.monotonic() - self._start >= 60 * minutes

    def is_save_due(self, minutes: float | None) -> bool:
        """Whether `minutes` minutes have passed since the last save; False for None."""
        return minutes is not None and time.monotonic() - self._save_time >= 60 * minutes

    def reset_save_timer(self) -> None:
        """Measure the time to the next save from now."""
        self._save_time = time.monotonic()
