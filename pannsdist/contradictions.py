"""Settings that are each in their range and yet cannot both be meant: refused before anything is built."""

from __future__ import annotations

from pathlib import PurePosixPath

from pannsdist.errors import SettingsError
from pannsdist.schema import Settings
from pannsdist.settings import Source


def refuse_contradictions(settings: Settings, source: Source) -> None:
    """Raise SettingsError for the first pair that contradicts itself; both keys are named, with where they are set."""
    _check_folder(settings, source)
    _check_warmup(settings, source)
    _check_optimizer(settings, source)
    _check_trial(settings, source)


def _check_folder(settings: Settings, source: Source) -> None:
    """A run stays below `runs`: names with slashes nest, but none leads out or is the folder of all runs itself."""
    path = PurePosixPath(settings.name)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        wrong = f"{source.where('name')} is '{settings.name}', which is no folder inside {source.where('runs')}"
        raise SettingsError(wrong, f"a folder's name, such as name=first; it is made in '{settings.runs}'")


def _check_warmup(settings: Settings, source: Source) -> None:
    warmup, epochs = settings.schedule.warmup_epochs, settings.train.epochs
    if warmup > epochs:
        wrong = (
            f"{source.where('schedule.warmup_epochs')} is {warmup:g}, but {source.where('train.epochs')} is {epochs}"
        )
        right = f"the learning rate would never reach optimizer.learning_rate; at most schedule.warmup_epochs={epochs}"
        raise SettingsError(wrong, right, source.command)


def _check_optimizer(settings: Settings, source: Source) -> None:
    if "learning_rate" in settings.optimizer.params:
        both = [source.where(key) for key in ("optimizer.params.learning_rate", "optimizer.learning_rate")]
        wrong = f"{both[0]} stands beside {both[1]}"
        raise SettingsError(wrong, "set optimizer.learning_rate alone; the schedule moves it", source.command)


def _check_trial(settings: Settings, source: Source) -> None:
    limits = {"train.limit_steps": settings.train.limit_steps, "valid.limit_batches": settings.valid.limit_batches}
    for key, value in limits.items():
        if settings.train.overfit_batches and value:
            wrong = f"{source.where('train.overfit_batches')} stands beside {source.where(key)}"
            right = "overfitting trains and evaluates on its own batches: set one of the two to null"
            raise SettingsError(wrong, right, source.command)
