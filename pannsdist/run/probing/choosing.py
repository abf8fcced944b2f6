"""Trains a classifier; its one parameter is chosen by folds within the training clips, never by others.

Axes: N clips, E size of the embedding, C classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import Predictions
from pannsdist.run.probing.solvers import Fitted, Inputs, Kind, Task, Values, refuse_one_class
from pannsdist.training.metrics import METRICS

INNER_FOLDS = 5


@dataclass(frozen=True)
class Training:
    """Training clips: embeddings (N, E) float64, targets (N,) or (N, C), and the groups of the clips, if any."""

    embeddings: Values
    targets: NDArray[Any]
    groups: Sequence[str] = ()


@dataclass(frozen=True)
class Chosen:
    """A trained classifier and the value of its parameter; `note` says why that was not chosen but the default."""

    fitted: Fitted
    value: float
    note: str = ""


def train(kind: Kind, task: Task, training: Training) -> Chosen:
    """Choose the parameter, then train on all clips. Raises BadDataset where they have one class alone.

    Of values with the same accuracy (several labels a clip: mean average precision) that with the lowest loss counts.
    """
    refuse_one_class(task, training.targets)
    rows, note = _inner_folds(task, training)
    value = kind.default
    if rows:
        folds = [_Fold(Inputs(training.embeddings[fitting]), fitting, held_out) for fitting, held_out in rows]
        value = max(kind.values, key=lambda one: _score(kind, task, training, folds, one))
    return Chosen(kind.fit(task, Inputs(training.embeddings), training.targets, value), value, note)


@dataclass(frozen=True)
class _Fold:
    """Embeddings to fit on, and the rows that they are and that are held out."""

    inputs: Inputs
    fitting: NDArray[np.int64]
    held_out: NDArray[np.int64]


def _score(kind: Kind, task: Task, training: Training, folds: Sequence[_Fold], value: float) -> tuple[float, float]:
    """(accuracy or mean average precision, minus the loss) on the held-out clips of the inner folds together."""
    logits = np.zeros((len(training.embeddings), len(task.labels)))
    for fold in folds:
        fitted = kind.fit(task, fold.inputs, training.targets[fold.fitting], value)
        logits[fold.held_out] = fitted.logits(training.embeddings[fold.held_out])
    ids = tuple(map(str, range(len(logits))))
    predictions = Predictions(ids, logits, training.targets, tuple(task.labels), task.multi_label)
    name = "mean_average_precision" if task.multi_label else "accuracy"
    found = METRICS[name].compute(predictions)
    return (found if np.isfinite(found) else -1.0), -METRICS["loss"].compute(predictions)


def _inner_folds(task: Task, training: Training) -> tuple[list[tuple[NDArray[np.int64], NDArray[np.int64]]], str]:
    """(rows to fit on, rows held out) of each fold; or why there are none."""
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    targets, rows = training.targets, len(training.embeddings)
    units = np.array(training.groups) if training.groups else np.arange(rows)
    count, lacking = _possible(task, targets, units)
    if count < 2:
        return [], f"{lacking}, so that nothing could be held out to choose it"
    drawn = {"shuffle": True, "random_state": task.seed}
    if task.multi_label:
        folding: Any = GroupKFold(count) if training.groups else KFold(count, **drawn)
    else:
        folding = (StratifiedGroupKFold if training.groups else StratifiedKFold)(count, **drawn)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer clips than folds
        found = list(folding.split(np.zeros(rows), None if task.multi_label else targets, units))
    return [fold for fold in found if _is_usable(task, targets[fold[0]]) and len(fold[1])], ""


def _possible(task: Task, targets: NDArray[Any], units: NDArray[Any]) -> tuple[int, str]:
    """(how many folds leave clips of each class to fit on, the class that limits them)."""
    if task.multi_label:
        return min(INNER_FOLDS, len(np.unique(units))), "there is a single clip or group"
    counts = {int(label): len(np.unique(units[targets == label])) for label in np.unique(targets)}
    fewest = min(counts, key=lambda label: counts[label])
    what = "single clip or group of clips"
    return min(INNER_FOLDS, max(counts[fewest], 0)), f"class '{task.labels[fewest]}' has a {what} in train"


def _is_usable(task: Task, targets: NDArray[Any]) -> bool:
    return bool(targets.any()) if task.multi_label else len(np.unique(targets)) > 1


def described(kind: Kind, chosen: Chosen) -> str:
    """The parameter, for a table."""
    return f"{kind.parameter}={chosen.value:g}"


def notes(kind: Kind, all_chosen: Sequence[Chosen]) -> list[str]:
    """What the choices have to say, each once."""
    texts = dict.fromkeys(one.note for one in all_chosen if one.note)
    return [f"{kind.parameter} is the default, {kind.default:g}: {text}" for text in texts]
