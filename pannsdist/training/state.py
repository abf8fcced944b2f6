"""The state of a run as checkpoints store it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Progress:
    """The position of a run. There is no random state: randomness is a function of the seed, the step and the clip.

    `epoch` is the last evaluated one, `evaluated_step` the step of that evaluation; `scores` and `best` (the state of
    the best tracker) belong to it. `step` counts from the start of the run, `epoch_steps` are the steps of an epoch.

    Losses of the current epoch: `epoch_sum` is (sum of losses, clips) of all reported steps over all processes;
    `window` holds the same for the `window_steps` steps since the last report, by rank. `bad_steps` and
    `consecutive_bad_steps` count steps that were skipped because the loss or gradient was not finite.
    """

    epoch: int = 0
    step: int = 0
    evaluated_step: int = 0
    scores: Mapping[str, float] = field(default_factory=dict)
    best: Mapping[str, Any] = field(default_factory=dict)
    epoch_sum: Sequence[float] = (0.0, 0.0)
    window: Sequence[Sequence[float]] = ()
    window_steps: int = 0
    bad_steps: int = 0
    consecutive_bad_steps: int = 0
    epoch_steps: int = 0


@dataclass(frozen=True)
class Snapshot:
    """Everything a run needs to continue: progress, and arrays by structured name.

    `optimizer` is `Learner.state()`. `statistics` holds the running statistics of batch norm by `rank/name` where the
    processes differ: within an epoch each process has those of its own clips, and `model` holds rank 0's.
    """

    progress: Progress
    model: Mapping[str, np.ndarray]
    optimizer: Mapping[str, np.ndarray]
    statistics: Mapping[str, np.ndarray] = field(default_factory=dict)


def at_epoch_start(snapshot: Snapshot, epoch_steps: int, keep_best: bool) -> Snapshot:
    """The same weights and optimizer at the start of the epoch that is under way, in a run of `epoch_steps` per epoch.

    Steps are counted anew as if all epochs had had that length. Without `keep_best` no epoch has been the best so far,
    and patience counts from here.
    """
    progress = snapshot.progress
    epoch = progress.step // progress.epoch_steps if progress.epoch_steps else progress.epoch
    best = dict(progress.best)
    best["best_epochs"] = [{**entry, "step": 0} for entry in best.get("best_epochs", ())]  # its checkpoint is removed
    if not keep_best:
        best |= {"value": None, "epoch": 0, "best_epochs": [], "since": epoch}
    step = epoch * epoch_steps
    moved = Progress(epoch, step, step, progress.scores, best, bad_steps=progress.bad_steps, epoch_steps=epoch_steps)
    return replace(snapshot, progress=moved)


def own_statistics(statistics: Mapping[str, np.ndarray], rank: int, size: int) -> dict[str, np.ndarray]:
    """The running statistics of one of `size` processes, by name.

    If the snapshot was written by another number of processes, it is the mean over them, as an evaluation would use.
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
    """(sum of losses, clips) of one of `size` processes; rank 0 gets the total if the number of processes changed."""
    if len(window) == size:
        return window[rank][0], window[rank][1]
    return (sum(row[0] for row in window), sum(row[1] for row in window)) if rank == 0 else (0.0, 0.0)
