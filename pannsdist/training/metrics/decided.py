"""Metrics of what each clip is given: a clip has the class of its largest logit; if multi-label, every class of 0.5."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import Predictions
from pannsdist.training.metrics.predictions import nan_unless_usable, places


@nan_unless_usable
def accuracy(predictions: Predictions) -> float:
    """Share of the clips whose true class has the largest logit."""
    return float((places(predictions) < 1).mean())


@nan_unless_usable
def top5_accuracy(predictions: Predictions) -> float:
    """Share of the clips whose true class is among the five largest logits."""
    return float((places(predictions) < 5).mean())


@nan_unless_usable
def macro_precision(predictions: Predictions) -> float:
    """Mean over the classes of the share of right ones among the clips that were given it; 0 where none was."""
    return _macro(class_precision(predictions), predictions)


@nan_unless_usable
def macro_recall(predictions: Predictions) -> float:
    """Mean over the classes of the share of its clips that were given it."""
    return _macro(class_recall(predictions), predictions)


@nan_unless_usable
def macro_f1(predictions: Predictions) -> float:
    """Mean over the classes of the harmonic mean of precision and recall."""
    return _macro(class_f1(predictions), predictions)


@nan_unless_usable
def micro_f1(predictions: Predictions) -> float:
    """Harmonic mean of precision and recall over all clips and classes; of one label a clip, the accuracy."""
    hits, given, true = _counts(predictions)
    return float(_ratio(2.0 * hits.sum(), given.sum() + true.sum()))


@nan_unless_usable
def weighted_f1(predictions: Predictions) -> float:
    """Mean of the classes' F1, each weighted by its number of clips."""
    support = predictions.positives.sum(axis=0)
    return float(np.average(class_f1(predictions), weights=support)) if support.any() else math.nan


@nan_unless_usable
def cohen_kappa(predictions: Predictions) -> float:
    """Agreement beyond chance: (accuracy - chance) / (1 - chance); NaN where all is one class and chance is 1.

    Source: Cohen, A coefficient of agreement for nominal scales, 1960.
    """
    hits, given, true = (counts / len(predictions.ids) for counts in _counts(predictions))
    chance = float((given * true).sum())
    return math.nan if chance == 1.0 else (float(hits.sum()) - chance) / (1.0 - chance)


def class_precision(predictions: Predictions) -> NDArray[np.float64]:
    """The precision of each class, (C,); 0 where no clip was given it."""
    hits, given, _ = _counts(predictions)
    return _ratio(hits, given)


def class_recall(predictions: Predictions) -> NDArray[np.float64]:
    """The recall of each class, (C,); 0 where no clip bears it."""
    hits, _, true = _counts(predictions)
    return _ratio(hits, true)


def class_f1(predictions: Predictions) -> NDArray[np.float64]:
    """The F1 of each class, (C,); 0 where no clip bears it and none was given it."""
    hits, given, true = _counts(predictions)
    return _ratio(2.0 * hits, given + true)


def _counts(predictions: Predictions) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each class, (C,): clips that bear it and were given it, that were given it, that bear it."""
    true, given = predictions.positives, predictions.guessed
    hits, given_count, true_count = ((true & given).sum(axis=0), given.sum(axis=0), true.sum(axis=0))
    return hits.astype(np.float64), given_count.astype(np.float64), true_count.astype(np.float64)


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Part of the whole; 0 of nothing is 0."""
    return np.asarray(part / np.maximum(whole, 1.0))


def _macro(values: NDArray[np.float64], predictions: Predictions) -> float:
    """Mean over the classes that some clip bears."""
    present = predictions.present
    return float(values[present].mean()) if present.any() else math.nan
