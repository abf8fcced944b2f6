"""How far a run has come, and everything that it needs to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Progress:
    """How far a run has come. No random state: all that is random follows from the seed, the step and the clip.

    `epoch` is the last one that was evaluated, and `evaluated` the step after which that was: `scores` and `best` (the
    state of the best tracker) are of then. `step` counts from the run's beginning.

    Of the epoch under way: (sum of losses, clips) of the steps that were reported, over all processes, in
    `epoch_sum`; of the `window_steps` steps since, by process, in `window`. Steps that were not taken are counted.
    """

    epoch: int = 0
    step: int = 0
    evaluated: int = 0
    scores: Mapping[str, float] = field(default_factory=dict)
    best: Mapping[str, Any] = field(default_factory=dict)
    epoch_sum: Sequence[float] = (0.0, 0.0)
    window: Sequence[Sequence[float]] = ()
    window_steps: int = 0
    bad_steps: int = 0
    bad_steps_in_a_row: int = 0

    def __str__(self) -> str:
        """`epoch 3`, or `step 31` in the middle of one."""
        return f"epoch {self.epoch}" if self.step == self.evaluated else f"step {self.step}"


@dataclass(frozen=True)
class Snapshot:
    """Everything that a run needs to go on: arrays by structured name, and the progress.

    `statistics` are the running statistics of batch norm by `rank/name`, where the processes have different ones: in
    the middle of an epoch each has those of its own clips. `model` holds rank 0's.
    """

    progress: Progress
    model: Mapping[str, np.ndarray]
    optimizer: Mapping[str, np.ndarray]
    statistics: Mapping[str, np.ndarray] = field(default_factory=dict)


def own_statistics(statistics: Mapping[str, np.ndarray], rank: int, size: int) -> dict[str, np.ndarray]:
    """What a snapshot holds for one of `size` processes, by name: its own, or the mean where they were not as many.

    The mean is what an evaluation would have used.
    """
    by_rank: dict[int, dict[str, np.ndarray]] = {}
    for key, array in statistics.items():
        owner, _, name = key.partition("/")
        by_rank.setdefault(int(owner), {})[name] = array
    if len(by_rank) == size:
        return by_rank[rank]
    parts = [by_rank[owner] for owner in sorted(by_rank)]
    means = {name: np.mean([part[name] for part in parts], axis=0, dtype=np.float64) for name in (parts or [{}])[0]}
    return {name: mean.astype(parts[0][name].dtype) for name, mean in means.items()}


def own_window(window: Sequence[Sequence[float]], rank: int, size: int) -> tuple[float, float]:
    """(sum of losses, clips) of one of `size` processes: its own, or all of them in rank 0 where they were others."""
    if len(window) == size:
        return window[rank][0], window[rank][1]
    return (sum(row[0] for row in window), sum(row[1] for row in window)) if rank == 0 else (0.0, 0.0)
