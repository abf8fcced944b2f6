"""When a run evaluates, saves and ends, as pure functions of its position."""

from __future__ import annotations

from dataclasses import dataclass

from pannsdist.training.state import Progress


@dataclass(frozen=True)
class RunLength:
    """`epochs` epochs of `steps` steps, the seed, report and save intervals, and the conditions of an early end.

    `offset` is by how many steps the epochs before were longer together than the same number of epochs of `steps`:
    steps count on where a run goes on with epochs of another length.
    """

    epochs: int
    steps: int
    seed: int
    report_every_steps: int
    max_steps: int | None = None
    max_minutes: float | None = None
    patience_epochs: int | None = None
    max_bad_steps: int = 10
    save_every_steps: int | None = None
    save_every_minutes: float | None = None
    offset: int = 0

    @property
    def total_steps(self) -> int:
        """Steps of the whole run; `max_steps` may cut the last epoch short."""
        steps = self.epoch_end(self.epochs)
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def next_evaluation_step(self, step: int, evaluated_step: int) -> int:
        """The step after which the next evaluation is due, at position `step`, last evaluated at `evaluated_step`."""
        return min(self.epoch_end(self._epoch_of(max(step, evaluated_step + 1))), self.total_steps)

    def current_epoch(self, step: int, evaluated_step: int) -> int:
        """The epoch that the next evaluation belongs to, counted from 1."""
        return self._epoch_of(self.next_evaluation_step(step, evaluated_step))

    def epoch_end(self, epoch: int) -> int:
        """The last step of an epoch; of epoch 0 the step that the first one starts after."""
        return self.offset + epoch * self.steps

    def _epoch_of(self, step: int) -> int:
        return (step - self.offset - 1) // self.steps + 1

    def position(self, step: int, evaluated_step: int) -> str:
        """Where a run stands: `after epoch 2`, or `in epoch 3, after step 17 of 50`, counted within the epoch."""
        epoch = self.current_epoch(step, evaluated_step)
        done = step - (epoch - 1) * self.steps
        if step == evaluated_step and done in (0, self.steps):
            return f"after epoch {step // self.steps}" if step else "before the first step"
        unevaluated = ", before its evaluation" if done == self.steps else ""
        return f"in epoch {epoch}, after step {done} of {self.steps}{unevaluated}"

    def is_save_due(self, step: int, saved_step: int) -> bool:
        """Whether a multiple of `save_every_steps` lies in (saved_step, step]."""
        every = self.save_every_steps
        return every is not None and step // every > saved_step // every

    def should_stop(self, epoch: int, step: int, evaluated_step: int, best_epoch: int) -> bool:
        """Whether all steps are trained and evaluated, or no epoch was the best for `patience_epochs` epochs."""
        is_evaluated = step == evaluated_step
        if self.patience_epochs is not None and is_evaluated and epoch - best_epoch >= self.patience_epochs:
            return True
        return is_evaluated and step >= self.total_steps

    def has_finished(self, progress: Progress) -> bool:
        """Whether a run restored from `progress` has nothing left to do."""
        best_epoch = max(int(progress.best.get(key, 0)) for key in ("epoch", "since"))
        return self.should_stop(progress.epoch, progress.step, progress.evaluated_step, best_epoch)
