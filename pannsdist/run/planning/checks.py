"""Settings that are each in their range and yet cannot both be meant: refused before anything is built."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import PurePosixPath

from pannsdist.runtime.errors import SettingsError, candidates_line
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings


def refuse_contradictions(settings: Settings, source: SettingsOrigin) -> None:
    """Raise SettingsError for the first pair that contradicts itself; both keys are named, with where they are set."""
    groups = (_of_folder, _of_trial, _of_training, _of_schedule)
    for wrong, right in chain.from_iterable(group(settings, source) for group in groups):
        raise SettingsError(wrong, right, source.command)


def refuse_shares(chosen: Settings, source: SettingsOrigin, world_size: int) -> None:
    """Raise SettingsError for a number of parts that does not divide a process's share of a step."""
    parts, own = chosen.train.accumulate_steps, chosen.train.batch_size // world_size
    if own % parts:
        divisors = [number for number in range(1, own + 1) if own % number == 0]
        nearest = sorted(divisors, key=lambda number: abs(number - parts))[:2]
        wrong = (
            f"{source.where('train.accumulate_steps')} is {parts}, but {source.where('train.batch_size')} gives each "
        )
        wrong += f"of {world_size} processes {own} clips"
        raise SettingsError(
            wrong, "it divides them; nearest: " + " or ".join(map(str, sorted(nearest))), source.command
        )


def refuse_misfits(chosen: Settings, source: SettingsOrigin, labels: Sequence[str], multi_label: bool) -> None:
    """Raise SettingsError for a loss that is not one for this dataset's labels, and for labels that it lacks."""
    for label in chosen.log.curves:
        if label not in labels:
            wrong = f"no label '{label}' ({source.where('log.curves')})"
            raise SettingsError(wrong, candidates_line(label, labels, "labels"), source.command)
    loss = chosen.loss
    for name, needs_several in (("cross_entropy", False), ("binary_cross_entropy", True)):
        if loss.name == name and multi_label != needs_several:
            has = "several labels" if multi_label else "one label"
            wrong = f"{source.where('loss.name')} is {name}, but a clip of {source.where('data.name')} bears {has}"
            raise SettingsError(wrong, "leave loss.name out for what fits", source.command)
    for label, weight in loss.label_weights.items():
        key = f"loss.label_weights.{label}"
        if label not in labels:
            raise SettingsError(f"unknown label {source.where(key)}", candidates_line(label, labels, "labels"))
        if not 0 < weight < float("inf"):
            raise SettingsError(f"{source.where(key)} is {weight}", "allowed: above 0", source.command)


def refuse_lengths(
    chosen: Settings, source: SettingsOrigin, epoch_steps: int, warmup_steps: int, total_steps: int
) -> None:
    """Raise SettingsError for a warm-up that is longer than the run."""
    shape, total = chosen.schedule, total_steps
    if warmup_steps + round(shape.hold_epochs * epoch_steps) > total:
        key = "warmup_steps" if shape.warmup_steps else "warmup_epochs" if warmup_steps else "hold_epochs"
        wrong = f"{source.where(f'schedule.{key}')} is {getattr(shape, key):g}, longer than the run: "
        limit = "max_steps" if total == chosen.train.max_steps else "epochs"
        wrong += f"{source.where(f'train.{limit}')} is {getattr(chosen.train, limit)}, {total} steps"
        raise SettingsError(wrong, "a shorter warm-up (and schedule.hold_epochs), or more epochs", source.command)


def _of_folder(settings: Settings, source: SettingsOrigin) -> Iterator[tuple[str, str]]:
    """A run stays below `runs`: names with slashes nest, but none leads out or is the folder of all runs itself."""
    path = PurePosixPath(settings.name)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        wrong = f"{source.where('name')} is '{settings.name}', which is no folder inside {source.where('runs')}"
        yield wrong, f"a folder's name, such as name=first; it is made in '{settings.runs}'"


def _of_trial(chosen: Settings, source: SettingsOrigin) -> Iterator[tuple[str, str]]:
    limits = {"train.limit_steps": chosen.train.limit_steps, "valid.limit_batches": chosen.valid.limit_batches}
    for key, value in limits.items():
        if chosen.train.overfit_batches and value:
            wrong = f"{source.where('train.overfit_batches')} stands beside {source.where(key)}"
            yield wrong, "overfitting trains and evaluates on its own batches: set one of the two to null"


def _of_training(chosen: Settings, source: SettingsOrigin) -> Iterator[tuple[str, str]]:
    train, loss = chosen.train, chosen.loss
    where = source.where
    if train.ema_decay and train.swa_epochs:
        yield (
            f"{where('train.ema_decay')} and {where('train.swa_epochs')} are both set",
            "one average: set one of them 0",
        )
    if train.swa_epochs > train.epochs:
        wrong = f"{where('train.swa_epochs')} is {train.swa_epochs}, but {where('train.epochs')} is {train.epochs}"
        yield wrong, "the mean is over the last epochs of the run"
    for key in ("max_steps", "max_minutes", "patience_epochs"):
        if train.swa_epochs and getattr(train, key):
            wrong = f"{where('train.swa_epochs')} is {train.swa_epochs}, but {where(f'train.{key}')} is set"
            yield wrong, "the mean is over the last of train.epochs, which a run that ends sooner may not reach"
    if train.unfreeze_epoch is not None and not train.freeze:
        yield f"{where('train.unfreeze_epoch')} is set, but train.freeze is empty", "name the stages to freeze"
    if train.unfreeze_epoch is not None and train.unfreeze_epoch > train.epochs:
        wrong = (
            f"{where('train.unfreeze_epoch')} is {train.unfreeze_epoch}, but {where('train.epochs')} is {train.epochs}"
        )
        yield wrong, "leave train.unfreeze_epoch out to keep the stages frozen to the end"
    if train.recompute and train.sync_batch_norm:
        wrong = f"{where('train.recompute')} and {where('train.sync_batch_norm')} are both set"
        yield wrong, "the second forward would meet the other processes once more; set one of them false"
    if "learning_rate" in chosen.optimizer.params:
        both = [where(key) for key in ("optimizer.params.learning_rate", "optimizer.learning_rate")]
        yield f"{both[0]} stands beside {both[1]}", "set optimizer.learning_rate alone; the schedule moves it"
    if loss.class_weights != "none" and loss.label_weights:
        wrong = f"{where('loss.class_weights')} and {where('loss.label_weights')} are both set"
        yield wrong, "one way to weigh classes: loss.class_weights=none, or leave loss.label_weights out"


def _of_schedule(chosen: Settings, source: SettingsOrigin) -> Iterator[tuple[str, str]]:
    shape, where = chosen.schedule, source.where
    if shape.warmup_steps and shape.warmup_epochs:
        wrong = f"{where('schedule.warmup_steps')} and {where('schedule.warmup_epochs')} are both set"
        yield wrong, "one length of the warm-up: set the other 0"
    if shape.warmup_epochs > chosen.train.epochs:
        wrong = f"{where('schedule.warmup_epochs')} is {shape.warmup_epochs:g}, "
        wrong += f"but {where('train.epochs')} is {chosen.train.epochs}"
        at_most = f"at most schedule.warmup_epochs={chosen.train.epochs}"
        yield wrong, f"the learning rate would never reach optimizer.learning_rate; {at_most}"
    owners = {"milestones": "step", "every_epochs": "step", "hold_epochs": "warmup_linear_down"}
    for key, owner in owners.items():
        if getattr(shape, key) and shape.name != owner:
            wrong = f"{where(f'schedule.{key}')} is set, but {where('schedule.name')} is {shape.name}"
            yield wrong, f"it belongs to schedule.name={owner}"
    if shape.name == "step" and not (shape.milestones or shape.every_epochs):
        wrong = f"{where('schedule.name')} is step, but neither schedule.milestones nor schedule.every_epochs is set"
        yield wrong, "say after which epochs the rate drops"
    if shape.milestones and shape.every_epochs:
        wrong = f"{where('schedule.milestones')} and {where('schedule.every_epochs')} are both set"
        yield wrong, "one of the two says when the rate drops"
    last = chosen.train.epochs - 1
    for epoch in (*shape.milestones, *([shape.every_epochs] if shape.every_epochs else [])):
        if not 1 <= epoch <= last:
            key = "schedule.milestones" if shape.milestones else "schedule.every_epochs"
            wrong = f"{where(key)} names epoch {epoch}, but {where('train.epochs')} is {chosen.train.epochs}"
            yield wrong, f"the rate drops after an epoch from 1 to {last}"
