"""How long a run is: decided before the first step, and a function of how far it has come."""

from __future__ import annotations

from dataclasses import dataclass

from pannsdist.training.state import Progress


@dataclass(frozen=True)
class RunLength:
    """Epochs of `steps` steps, the seed, how often something is told or saved, and what ends it before its time."""

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

    @property
    def total_steps(self) -> int:
        """Steps of the whole run; the last epoch may be cut short by `max_steps`."""
        whole = self.epochs * self.steps
        return whole if self.max_steps is None else min(whole, self.max_steps)

    def next_evaluation(self, step: int, evaluated: int) -> int:
        """The step after which the next evaluation is due, where `step` are made and `evaluated` was the last one's."""
        return min(-(-max(step, evaluated + 1) // self.steps) * self.steps, self.total_steps)

    def epoch_under_way(self, step: int, evaluated: int) -> int:
        """The epoch that the next evaluation is of, counted from 1."""
        return (self.next_evaluation(step, evaluated) - 1) // self.steps + 1

    def is_save_due(self, step: int, saved: int) -> bool:
        """Whether a step after which a checkpoint is due has gone by since the last one, which was after `saved`."""
        every = self.save_every_steps
        return every is not None and step // every > saved // every

    def is_over(self, epoch: int, step: int, evaluated: int, best_epoch: int) -> bool:
        """Whether nothing is left to do: all steps are made and evaluated, or the best was too long ago."""
        if self.patience_epochs is not None and step == evaluated and epoch - best_epoch >= self.patience_epochs:
            return True
        return evaluated == step >= self.total_steps

    def is_over_at(self, progress: Progress) -> bool:
        """The same of a checkpoint."""
        best_epoch = int(progress.best.get("epoch", 0))
        return self.is_over(progress.epoch, progress.step, progress.evaluated, best_epoch)
