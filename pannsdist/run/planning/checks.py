"""Settings that are each in their range and contradict each other: refused before any plugin is looked up."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import PurePosixPath

from pannsdist.runtime.errors import SettingsError
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings, TrainSettings

Contradiction = tuple[str, str]
"""What is wrong, with both keys and where they are set, and what would be right."""


def refuse_contradictions(settings: Settings, origin: SettingsOrigin, world_size: int) -> None:
    """Raise SettingsError for the first contradiction, and for a batch that the processes cannot divide equally."""
    groups = (
        _of_folder,
        _of_subset,
        _of_all_clips,
        _of_masks,
        _of_mixup,
        _of_averages,
        _of_freezing,
        _of_training,
        _of_static_graph,
        _of_schedule,
    )
    found = chain(
        chain.from_iterable(group(settings, origin) for group in groups),
        _of_batch(settings.train, origin, world_size),
    )
    for wrong, right in found:
        raise SettingsError(wrong, right, origin.command)


def _of_folder(settings: Settings, origin: SettingsOrigin) -> Iterator[Contradiction]:
    """Names with slashes nest below `runs`; no name may lead out of it, or be that folder itself."""
    path = PurePosixPath(settings.name)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        wrong = f"{origin.where('name')} is '{settings.name}', which is no folder inside {origin.where('runs')}"
        yield wrong, f"a folder name, such as name=first; it is created in '{settings.runs}'"


def _of_subset(settings: Settings, origin: SettingsOrigin) -> Iterator[Contradiction]:
    limits = {"train.limit_steps": settings.train.limit_steps, "valid.limit_batches": settings.valid.limit_batches}
    for key, value in limits.items():
        if settings.train.overfit_batches and value:
            wrong = f"{origin.where('train.overfit_batches')} and {origin.where(key)} are both set"
            yield wrong, "overfitting trains and evaluates on its own batches: set one of the two to null"


def _of_all_clips(settings: Settings, origin: SettingsOrigin) -> Iterator[Contradiction]:
    for key in ("overfit_batches", "patience_epochs"):
        if settings.train.all_clips and getattr(settings.train, key):
            wrong = f"{origin.where('train.all_clips')} and {origin.where(f'train.{key}')} are both set"
            yield wrong, "without clips to evaluate there are no scores: set one of the two to null or false"


def _of_masks(settings: Settings, origin: SettingsOrigin) -> Iterator[Contradiction]:
    for_any_model, own = settings.train.spec_augment, settings.model.params.get("spec_augment")
    if None not in (for_any_model, own) and for_any_model != own:
        both = " and ".join(map(origin.where, ("train.spec_augment", "model.params.spec_augment")))
        yield f"{both} contradict each other", "set one of them; the first is for every model"


def _of_mixup(settings: Settings, origin: SettingsOrigin) -> Iterator[Contradiction]:
    if settings.mixup.alpha and settings.mixup.pairs == "free" and settings.train.batch_size < 2:
        wrong = f"{origin.where('mixup.pairs')} is free, but train.batch_size is {settings.train.batch_size}"
        yield wrong, "a clip is mixed with another of its batch, so at least 2; or mixup.pairs=panns"


def _of_averages(settings: Settings, origin: SettingsOrigin) -> Iterator[Contradiction]:
    train, where = settings.train, origin.where
    if train.ema_decay and train.swa_epochs:
        both = f"{where('train.ema_decay')} and {where('train.swa_epochs')} are both set"
        yield both, "only one average of the weights: set one of them to 0"
    if train.swa_epochs > train.epochs:
        wrong = f"{where('train.swa_epochs')} is {train.swa_epochs}, but {where('train.epochs')} is {train.epochs}"
        yield wrong, "the average is over the last epochs of the run"
    for key in ("max_steps", "max_minutes", "patience_epochs"):
        if train.swa_epochs and getattr(train, key):
            wrong = f"{where('train.swa_epochs')} is {train.swa_epochs}, but {where(f'train.{key}')} is set"
            yield wrong, "the average is over the last of train.epochs, which a run that ends early may not reach"


def _of_freezing(settings: Settings, origin: SettingsOrigin) -> Iterator[Contradiction]:
    train, unfreeze = settings.train, origin.where("train.unfreeze_epoch")
    if train.unfreeze_epoch is not None and not train.freeze:
        yield f"{unfreeze} is set, but train.freeze is empty", "name the stages to freeze"
    if train.unfreeze_epoch is not None and train.unfreeze_epoch > train.epochs:
        wrong = f"{unfreeze} is {train.unfreeze_epoch}, but {origin.where('train.epochs')} is {train.epochs}"
        yield wrong, "leave train.unfreeze_epoch out to keep the stages frozen to the end"
    if train.unfreeze_epoch is not None and settings.optimizer.params.get("use_multi_tensor"):
        wrong = f"{origin.where('optimizer.params.use_multi_tensor')} and {unfreeze} are both set"
        yield wrong, "Paddle's fused update keeps to the parameters of its first step; leave use_multi_tensor out"


def _of_training(settings: Settings, origin: SettingsOrigin) -> Iterator[Contradiction]:
    train, loss, where = settings.train, settings.loss, origin.where
    if train.recompute and train.sync_batch_norm:
        wrong = f"{where('train.recompute')} and {where('train.sync_batch_norm')} are both set"
        yield wrong, "the second forward pass would repeat the collective calls; set one of them to false"
    if "learning_rate" in settings.optimizer.params:
        wrong = f"{where('optimizer.params.learning_rate')} and {where('optimizer.learning_rate')} are the same thing"
        yield wrong, "set optimizer.learning_rate alone; the schedule changes it"
    if loss.class_weights != "none" and loss.label_weights:
        wrong = f"{where('loss.class_weights')} and {where('loss.label_weights')} are both set"
        yield wrong, "only one kind of class weights: loss.class_weights=none, or leave loss.label_weights out"


def _of_static_graph(settings: Settings, origin: SettingsOrigin) -> Iterator[Contradiction]:
    train, key = settings.train, "train.to_static"
    excluded = {
        "recompute": train.recompute,
        "sync_batch_norm": train.sync_batch_norm,
        "amp": train.amp != "none",
        "unfreeze_epoch": train.unfreeze_epoch is not None,
    }
    for other, is_set in excluded.items():
        if train.to_static and is_set:
            wrong = f"{origin.where(key)} and {origin.where(f'train.{other}')} are both set"
            yield wrong, "their results were not proven equal to those without a static graph; set one of them"


def _of_schedule(settings: Settings, origin: SettingsOrigin) -> Iterator[Contradiction]:
    schedule, epochs, where = settings.schedule, settings.train.epochs, origin.where
    if schedule.warmup_steps and schedule.warmup_epochs:
        wrong = f"{where('schedule.warmup_steps')} and {where('schedule.warmup_epochs')} are both set"
        yield wrong, "only one length of the warm-up: set the other to 0"
    if schedule.warmup_epochs > epochs:
        wrong = f"{where('schedule.warmup_epochs')} is {schedule.warmup_epochs:g}, "
        wrong += f"but {where('train.epochs')} is {epochs}"
        right = f"the learning rate would never reach optimizer.learning_rate; at most schedule.warmup_epochs={epochs}"
        yield wrong, right
    owners = {"milestones": "step", "every_epochs": "step", "hold_epochs": "warmup_linear_down"}
    for key, owner in owners.items():
        if getattr(schedule, key) and schedule.name != owner:
            wrong = f"{where(f'schedule.{key}')} is set, but {where('schedule.name')} is {schedule.name}"
            yield wrong, f"it belongs to schedule.name={owner}"
    if schedule.name == "step" and not (schedule.milestones or schedule.every_epochs):
        wrong = f"{where('schedule.name')} is step, but neither schedule.milestones nor schedule.every_epochs is set"
        yield wrong, "set after which epochs the learning rate drops"
    if schedule.milestones and schedule.every_epochs:
        wrong = f"{where('schedule.milestones')} and {where('schedule.every_epochs')} are both set"
        yield wrong, "only one of them: both set when the learning rate drops"
    key = "schedule.milestones" if schedule.milestones else "schedule.every_epochs"
    for epoch in (*schedule.milestones, *([schedule.every_epochs] if schedule.every_epochs else [])):
        if not 1 <= epoch <= epochs - 1:
            wrong = f"{where(key)} has epoch {epoch}, but {where('train.epochs')} is {epochs}"
            yield wrong, f"the learning rate drops after an epoch from 1 to {epochs - 1}"


def _of_batch(train: TrainSettings, origin: SettingsOrigin, world_size: int) -> Iterator[Contradiction]:
    """The processes divide the global batch equally, and the accumulation steps divide a process's slice of it."""
    batch_size, steps = train.batch_size, train.accumulate_steps
    key = origin.where("train.batch_size")
    if batch_size % world_size:
        below, above = batch_size // world_size * world_size, -(-batch_size // world_size) * world_size
        nearest = " or ".join(str(size) for size in (below, above) if size)
        wrong = f"{key} is {batch_size}, which is not divisible by {world_size} processes"
        yield wrong, f"it is the batch of all processes together; nearest: {nearest}"
    own = batch_size // world_size
    if own % steps:
        divisors = [number for number in range(1, own + 1) if own % number == 0]
        nearest = " or ".join(map(str, sorted(sorted(divisors, key=lambda number: abs(number - steps))[:2])))
        wrong = f"{origin.where('train.accumulate_steps')} is {steps}, but {key} gives each of {world_size} processes "
        yield f"{wrong}{own} clips", f"it must divide them; nearest: {nearest}"
