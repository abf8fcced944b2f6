"""The inputs of `Trainer.fit`: training batches, and where results go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pannsdist.contracts import Tracker
from pannsdist.contracts.batch import Batch
from pannsdist.runtime.errors import BadClip
from pannsdist.training.background import BackgroundWriter
from pannsdist.training.clock import Clock
from pannsdist.training.counters import Counters
from pannsdist.training.evaluator import SplitToEvaluate
from pannsdist.training.run_length import RunLength
from pannsdist.training.state import Snapshot
from pannsdist.training.step_sync import StepRequest


@dataclass(frozen=True)
class TrainingData:
    """`batches(epoch, skip)`: this process's batches of an epoch (from 1) after its first `skip` steps.

    `steps` is the number of steps per epoch.
    """

    batches: Callable[[int, int], Iterable[Batch]]
    steps: int


@dataclass(frozen=True)
class ResultSinks:
    """Where results go, on rank 0: trackers, checkpoints, and the lists of bad clips and bad steps.

    `save_snapshot(snapshot, best_weights)` gets weights for `best_model` where they are the best so far, else None; it
    may write in the background, through `writer`.
    """

    trackers: Sequence[Tracker] = ()
    save_snapshot: Callable[[Snapshot, Mapping[str, np.ndarray] | None], None] = lambda *_: None
    log_bad_clips: Callable[[Sequence[BadClip]], None] = lambda _: None
    log_bad_step: Callable[[str], None] = lambda _: None
    writer: BackgroundWriter = field(default_factory=BackgroundWriter)


@dataclass(frozen=True)
class FitContext:
    """The arguments of one `fit` call, its clock, and the clips skipped since the last checkpoint."""

    data: TrainingData
    split: SplitToEvaluate
    sinks: ResultSinks
    clock: Clock
    is_stop_requested: Callable[[], bool]
    bad_clips: list[BadClip] = field(default_factory=list)

    def request(self, run_length: RunLength, counters: Counters) -> StepRequest:
        """This process's requests before the next step. No save is requested while the previous one is running."""
        is_due = run_length.is_save_due(counters.step, counters.saved_step) or self.clock.is_save_due(
            run_length.save_every_minutes
        )
        save = is_due and not counters.consecutive_bad_steps and not self.sinks.writer.is_busy
        is_time_up = self.clock.is_time_up(run_length.max_minutes)
        return StepRequest(self.is_stop_requested(), is_time_up, save, self.sinks.writer.failed)
