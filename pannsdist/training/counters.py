"""The mutable counters of a run in this process: steps, loss sums, bad steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import paddle

from pannsdist.training.state import Progress, own_window


class LossSum:
    """A sum of losses and a number of clips. The losses stay on the device until they are read."""

    def __init__(self, loss: float = 0.0, clips: float = 0.0) -> None:
        self._loss: paddle.Tensor | float = loss
        self._clips = clips

    def add(self, loss: paddle.Tensor | float, clips: float) -> None:
        """Add without waiting for the device."""
        self._loss = self._loss + loss
        self._clips += clips

    def read(self) -> tuple[float, float]:
        """(sum of losses, clips); waits for the device."""
        return float(self._loss), self._clips


class Counters:
    """Counters that start from `progress`, in epochs of `steps` steps. `saved_step` is the step of the last checkpoint.

    `window` sums this process's losses since the last report, `epoch_sum` the reported losses of all processes.
    """

    def __init__(self, progress: Progress, rank: int, size: int, steps: int) -> None:
        self._steps = steps
        self.epoch, self.step, self.evaluated_step = progress.epoch, progress.step, progress.evaluated_step
        self.scores: Mapping[str, float] = progress.scores
        self.epoch_sum = LossSum(*progress.epoch_sum)
        self.window, self.window_steps = LossSum(*own_window(progress.window, rank, size)), progress.window_steps
        self.bad_steps, self.consecutive_bad_steps = progress.bad_steps, progress.consecutive_bad_steps
        self.saved_step = progress.step
        self.gradient_norm: float | None = None

    def record_step(self, loss: paddle.Tensor, clips: int) -> None:
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
