"""What trackers are told, and what a tracker is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pannsdist.training.clock import Pace
from pannsdist.training.metrics import Predictions


@dataclass(frozen=True)
class StepReport:
    """Some steps that were made: where the run is, and means over these steps and all processes.

    `step` counts from the run's beginning, `epoch_step` from the epoch's. `learning_rates` are those of the last step
    by group of parameters; where there is one group, it is `all`. `gradient_norm` is the last step's, before clipping.
    """

    epoch: int
    step: int
    epoch_step: int
    epoch_steps: int
    loss: float
    learning_rates: Mapping[str, float]
    pace: Pace
    gradient_norm: float | None = None


@dataclass(frozen=True)
class EpochReport:
    """An epoch that was trained, evaluated and saved. `scores` by split/metric, `train/loss` among them.

    `predictions` are those that the scores come from.
    """

    epoch: int
    epochs: int
    step: int
    scores: Mapping[str, float]
    selected: str
    is_best: bool
    seconds: float
    predictions: Predictions | None = None

    @property
    def split(self) -> str:
        """The split that was evaluated."""
        return self.selected.partition("/")[0]


class Tracker(Protocol):
    """Told of everything, in order, in rank 0 only."""

    def steps(self, report: StepReport) -> None:
        """Some more steps were made."""

    def epoch(self, report: EpochReport) -> None:
        """An epoch is done."""

    def flush(self) -> None:
        """Have on disk what was told: a checkpoint is about to be written, and nothing before it is told again."""

    def close(self) -> None:
        """The run is over."""
