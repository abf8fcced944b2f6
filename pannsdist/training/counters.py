"""The mutable counters of a run in this process: steps, loss sums, bad steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pannsdist.training.state import Progress, own_window
from pannsdist.training.step_outcome import StepOutcome


class LossSum:
    """A sum of losses and a number of clips.

    Losses are float32, so their sums are exact in Python's floats: they do not depend on where they were divided, as by
    reports and stops.
    """

    def __init__(self, loss: float = 0.0, clips: float = 0.0) -> None:
        self._loss, self._clips = loss, clips

    def add(self, loss: float, clips: float) -> None:
        """Add the losses of some clips."""
        self._loss += loss
        self._clips += clips

    def read(self) -> tuple[float, float]:
        """(sum of losses, clips)."""
        return self._loss, self._clips


@dataclass(frozen=True)
class PendingStep:
    """A step whose outcome has not been read from the device, with the ids of all clips in this process's batch."""

    step: int
    clips: int
    ids: tuple[str, ...]
    outcome: StepOutcome


class Counters:
    """Counters that start from `progress`, in epochs of `steps` steps. `saved_step` is the step of the last checkpoint.

    `window` sums this process's losses since the last report; `epoch_sum` the reported losses of all
    processes. `pending` are the steps that `step` counts and that are not in `window` or among the bad steps yet.
    """

    def __init__(self, progress: Progress, rank: int, size: int, steps: int) -> None:
        self._steps = steps
        self.epoch, self.step, self.evaluated_step = progress.epoch, progress.step, progress.evaluated_step
        self.scores: Mapping[str, float] = progress.scores
        self.epoch_sum = LossSum(*progress.epoch_sum)
        self.window = LossSum(*own_window(progress.window, rank, size))
        self.window_steps = progress.window_steps
        self.pending: list[PendingStep] = []
        self.bad_steps, self.consecutive_bad_steps = progress.bad_steps, progress.consecutive_bad_steps
        self.saved_step = progress.step
        self.gradient_norm: float | None = None

    def record_step(self, loss: float, clips: int) -> None:
        """Count a step on `clips` clips of this process, with the sum of their losses."""
        self.window.add(loss, clips)
        self.consecutive_bad_steps = 0

    def record_bad_step(self) -> None:
        """Count a step that was skipped because its loss or gradient was not finite."""
        self.bad_steps += 1
        self.consecutive_bad_steps += 1

    def close_window(self, loss: float, clips: float) -> None:
        """Add the steps since the last report, summed over all processes, to the epoch, and start a new window."""
        self.epoch_sum.add(loss, clips)
        self.window, self.window_steps = LossSum(), 0

    def record_evaluation(self, epoch: int, is_epoch_end: bool, scores: Mapping[str, float]) -> None:
        """Store the scores of an epoch after the current step. The end of the epoch resets its loss sum."""
        self.epoch, self.evaluated_step, self.scores = epoch, self.step, scores
        if is_epoch_end:
            self.epoch_sum = LossSum()

    @property
    def train_loss(self) -> float:
        """The mean loss over the clips of the current epoch, each as of its step; NaN before the first step."""
        loss, clips = self.epoch_sum.read()
        return loss / clips if clips else float("nan")

    def progress(self, best: Mapping[str, Any], windows: Sequence[tuple[float, float]]) -> Progress:
        """The counters as a checkpoint stores them; `windows` are those of all processes, by rank."""
        return Progress(
            self.epoch,
            self.step,
            self.evaluated_step,
            dict(self.scores),
            best,
            list(self.epoch_sum.read()),
            [list(window) for window in windows],
            self.window_steps,
            self.bad_steps,
            self.consecutive_bad_steps,
            self._steps,
        )
