"""A first try on part of the data: fewer batches of each epoch and evaluation, or a few batches learnt by heart."""

from __future__ import annotations

import numpy as np

from pannsdist.audio.batches import ClipTable
from pannsdist.runtime import seeding
from pannsdist.runtime.errors import SettingsError
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings, TrainSettings


def spread(table: ClipTable, count: int) -> ClipTable:
    """`count` clips at even distances in the table, so that its classes are among them; all where it has no more."""
    return table if count >= len(table) else _chosen(table, np.arange(count) * len(table) // count)


def shuffled(table: ClipTable, seed: int) -> ClipTable:
    """The same clips in another order: batch norm learns nothing from batches of one class each."""
    return _chosen(table, seeding.epoch_order(len(table), seed, epoch=0))


def _chosen(table: ClipTable, rows: np.ndarray) -> ClipTable:
    return ClipTable([table.clips[int(row)] for row in rows], table.targets[rows])


def shortened(
    train: ClipTable, valid: ClipTable, chosen: Settings, source: SettingsOrigin
) -> tuple[ClipTable, ClipTable]:
    """The clips to train on and to evaluate, where the settings ask for part of them. Raises SettingsError."""
    batches, limit = chosen.train.overfit_batches, chosen.valid.limit_batches
    if not batches:
        return train, spread(valid, limit * chosen.valid.batch_size) if limit else valid
    clips = batches * chosen.train.batch_size
    if clips > len(train):
        wrong = f"{source.where('train.overfit_batches')} is {batches}, {clips} clips, but there are only {len(train)}"
        raise SettingsError(wrong, f"at most {len(train) // chosen.train.batch_size}", source.command)
    same = shuffled(spread(train, clips), chosen.seed)
    return same, same


def length(chosen: TrainSettings, steps: int) -> str:
    """How long a run is whose epochs have `steps` steps."""
    parts = [f"{chosen.epochs} epochs of {steps} steps"]
    parts += [f"at most {chosen.max_steps} steps"] if chosen.max_steps else []
    parts += [f"at most {chosen.max_minutes:g} minutes"] if chosen.max_minutes else []
    return ", ".join(parts)


def description(chosen: Settings, steps: int, clips: int) -> str:
    """What is left out of a run of `steps` steps an epoch that evaluates `clips` clips; empty where nothing is."""
    if chosen.train.overfit_batches:
        return f"overfits {chosen.train.overfit_batches} batches: the scores are of the clips that are trained on"
    parts = [f"{steps} steps an epoch"] if chosen.train.limit_steps else []
    parts += [f"scores of {clips} clips alone"] if chosen.valid.limit_batches else []
    return ", ".join(parts)
