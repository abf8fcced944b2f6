"""Metrics of hard predictions: the class of the largest logit; if multi-label, every class with p >= 0.5."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import Predictions
from pannsdist.training.metrics.predictions import nan_unless_usable, true_class_ranks


@nan_unless_usable
def accuracy(predictions: Predictions) -> float:
    """Fraction of clips whose true class has the largest logit."""
    return float((true_class_ranks(predictions) < 1).mean())


@nan_unless_usable
def top5_accuracy(predictions: Predictions) -> float:
    """Fraction of clips whose true class is among the five largest logits."""
    return float((true_class_ranks(predictions) < 5).mean())


@nan_unless_usable
def macro_precision(predictions: Predictions) -> float:
    """Mean precision over the classes; 0 for a class that is never predicted."""
    return _macro(class_precision(predictions), predictions)


@nan_unless_usable
def macro_recall(predictions: Predictions) -> float:
    """Mean recall over the classes."""
    return _macro(class_recall(predictions), predictions)


@nan_unless_usable
def macro_f1(predictions: Predictions) -> float:
    """Mean F1 over the classes."""
    return _macro(class_f1(predictions), predictions)


@nan_unless_usable
def micro_f1(predictions: Predictions) -> float:
    """F1 over all clips and classes together; single-label, this is the accuracy."""
    hits, predicted, true = _counts(predictions)
    return float(_ratio(2.0 * hits.sum(), predicted.sum() + true.sum()))


@nan_unless_usable
def weighted_f1(predictions: Predictions) -> float:
    """Mean F1 over the classes, weighted by the number of clips of each."""
    support = predictions.positives.sum(axis=0)
    return float(np.average(class_f1(predictions), weights=support)) if support.any() else math.nan


@nan_unless_usable
def cohen_kappa(predictions: Predictions) -> float:
    """(accuracy - chance) / (1 - chance), where chance is the expected agreement; NaN where chance is 1.

    Source: Cohen, A coefficient of agreement for nominal scales, 1960.
    """
    hits, predicted, true = (counts / len(predictions.ids) for counts in _counts(predictions))
    chance = float((predicted * true).sum())
    return math.nan if chance == 1.0 else (float(hits.sum()) - chance) / (1.0 - chance)


def class_precision(predictions: Predictions) -> NDArray[np.float64]:
    """The precision of each class, (C,); 0 where it is never predicted."""
    hits, predicted, _ = _counts(predictions)
    return _ratio(hits, predicted)


def class_recall(predictions: Predictions) -> NDArray[np.float64]:
    """The recall of each class, (C,); 0 where it has no clips."""
    hits, _, true = _counts(predictions)
    return _ratio(hits, true)


def class_f1(predictions: Predictions) -> NDArray[np.float64]:
    """The F1 of each class, (C,); 0 where it has no clips and is never predicted."""
    hits, predicted, true = _counts(predictions)
    return _ratio(2.0 * hits, predicted + true)


def _counts(predictions: Predictions) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(true positives, predicted positives, positives) of each class, (C,) each."""
    true, predicted = predictions.positives, predictions.guessed
    hits, predicted_count, true_count = ((true & predicted).sum(axis=0), predicted.sum(axis=0), true.sum(axis=0))
    return hits.astype(np.float64), predicted_count.astype(np.float64), true_count.astype(np.float64)


def _ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """The quotient of counts; 0 / 0 is 0."""
    return np.asarray(numerator / np.maximum(denominator, 1.0))


def _macro(values: NDArray[np.float64], predictions: Predictions) -> float:
    """Mean over the classes that have clips; NaN if there are none."""
    present = predictions.present
    return float(values[present].mean()) if present.any() else math.nan
