"""Runs on a subset of the data: fewer batches per epoch and evaluation, or overfitting a few batches."""

from __future__ import annotations

import numpy as np

from pannsdist.audio.batches import ClipTable
from pannsdist.runtime import seeding
from pannsdist.runtime.errors import SettingsError
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings


def spread(table: ClipTable, count: int) -> ClipTable:
    """`count` clips evenly spaced in the table, so that all its classes are represented; all if it has no more."""
    return table if count >= len(table) else table.take(np.arange(count) * len(table) // count)


def shuffled(table: ClipTable, seed: int) -> ClipTable:
    """The same clips in random order: batch norm learns nothing from batches of one class each."""
    return table.take(seeding.epoch_order(len(table), seed, epoch=0))


def limited(
    train: ClipTable, valid: ClipTable, settings: Settings, origin: SettingsOrigin
) -> tuple[ClipTable, ClipTable]:
    """The clips to train on and to evaluate, as the settings limit them. Raises SettingsError."""
    batches, limit = settings.train.overfit_batches, settings.valid.limit_batches
    if not batches:
        return train, spread(valid, limit * settings.valid.batch_size) if limit else valid
    clips = batches * settings.train.batch_size
    if clips > len(train):
        wrong = f"{origin.where('train.overfit_batches')} is {batches}, {clips} clips, but there are only {len(train)}"
        raise SettingsError(wrong, f"at most {len(train) // settings.train.batch_size}", origin.command)
    same = shuffled(spread(train, clips), settings.seed)
    return same, same


def description(settings: Settings, steps: int, clips: int) -> str:
    """How a run of `steps` steps per epoch that evaluates `clips` clips is limited; empty for a full run."""
    if settings.train.overfit_batches:
        return f"overfits {settings.train.overfit_batches} batches: the scores are of the clips that are trained on"
    parts = [f"{steps} steps per epoch"] if settings.train.limit_steps else []
    parts += [f"scores of {clips} clips only"] if settings.valid.limit_batches else []
    return ", ".join(parts)
