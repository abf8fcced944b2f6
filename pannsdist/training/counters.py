"""What a run has come to so far, in this process: steps, sums of losses, steps that could not be taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import paddle

from pannsdist.training.state import Progress, own_window


class Sum:
    """A sum of losses, left on the device until it is read, and of clips."""

    def __init__(self, loss: float = 0.0, clips: float = 0.0) -> None:
        self._loss: paddle.Tensor | float = loss
        self._clips = clips

    def add(self, loss: paddle.Tensor | float, clips: float) -> None:
        """Add without reading."""
        self._loss = self._loss + loss
        self._clips += clips

    def read(self) -> tuple[float, float]:
        """(sum of losses, clips); waits for the device."""
        return float(self._loss), self._clips


class Counters:
    """Counts that move with the steps, begun where `progress` ended. `saved` is the step of the last checkpoint."""

    def __init__(self, progress: Progress, rank: int, size: int) -> None:
        self.epoch, self.step, self.evaluated = progress.epoch, progress.step, progress.evaluated
        self.scores: Mapping[str, float] = progress.scores
        self.epoch_sum = Sum(*progress.epoch_sum)
        self.window, self.window_steps = Sum(*own_window(progress.window, rank, size)), progress.window_steps
        self.bad_steps, self.bad_in_a_row = progress.bad_steps, progress.bad_steps_in_a_row
        self.saved = progress.step
        self.gradient_norm: float | None = None

    def step_taken(self, loss: paddle.Tensor, clips: int) -> None:
        """A step was made on `clips` clips of this process."""
        self.window.add(loss, clips)
        self.bad_in_a_row = 0

    def step_skipped(self) -> None:
        """A step could not be taken, since its loss is no number."""
        self.bad_steps += 1
        self.bad_in_a_row += 1

    def window_closed(self, loss: float, clips: float) -> None:
        """The steps since the last report came to this, over all processes."""
        self.epoch_sum.add(loss, clips)
        self.window, self.window_steps = Sum(), 0

    def evaluation_done(self, steps: int, scores: Mapping[str, float]) -> None:
        """These are the scores after the last step; an epoch has `steps`. At the end of one its sum begins anew."""
        self.epoch, self.evaluated, self.scores = (self.step - 1) // steps + 1, self.step, scores
        if self.step % steps == 0:
            self.epoch_sum = Sum()

    @property
    def train_loss(self) -> float:
        """The mean loss of the epoch under way over its clips, as they were seen; NaN where no step was taken."""
        loss, clips = self.epoch_sum.read()
        return loss / clips if clips else float("nan")

    def progress(self, best: Mapping[str, Any], windows: Sequence[tuple[float, float]]) -> Progress:
        """What a checkpoint keeps; `windows` are those of all processes."""
        return Progress(
            self.epoch,
            self.step,
            self.evaluated,
            dict(self.scores),
            best,
            list(self.epoch_sum.read()),
            [list(window) for window in windows],
            self.window_steps,
            self.bad_steps,
            self.bad_in_a_row,
        )
