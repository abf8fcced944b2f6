"""Scores of each class, their means, and what a network mistakes: for tables, files, trackers and the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pannsdist.contracts.predictions import CLASS_SCORES, ClassScores, Predictions, confusion
from pannsdist.training.metrics import classification, ranking


@dataclass(frozen=True)
class Mean:
    """The mean of a score over the `classes` for which it is defined; NaN if there are none."""

    value: float
    classes: int


@dataclass(frozen=True)
class Mistake:
    """A clip (row) that has a class (column) and is not predicted to, or the other way round, with its probability."""

    row: int
    column: int
    probability: float
    is_missed: bool


def class_scores(predictions: Predictions) -> tuple[ClassScores, ...]:
    """One row per class, in the order of the labels.

    Scores are NaN for a class without clips, and for every class if a logit is not finite.
    """
    support = predictions.positives.sum(axis=0).tolist()
    predicted = predictions.guessed.sum(axis=0).tolist()
    if not predictions.usable:
        columns = [[math.nan] * len(predictions.labels)] * len(CLASS_SCORES)
    else:
        functions = (classification.class_precision, classification.class_recall, classification.class_f1)
        present = predictions.present
        columns = [np.where(present, function(predictions), math.nan).tolist() for function in functions]
        columns += [ranking.class_average_precision(predictions).tolist(), ranking.class_roc_auc(predictions).tolist()]
    rows = zip(predictions.labels, support, predicted, *columns, strict=True)
    return tuple(ClassScores(*row) for row in rows)


def class_means(classes: Sequence[ClassScores]) -> dict[str, Mean]:
    """The macro mean of each score, over the classes that have it."""
    found = {}
    for name in CLASS_SCORES:
        values = [value for one in classes if not math.isnan(value := getattr(one, name))]
        found[name] = Mean(float(np.mean(values)) if values else math.nan, len(values))
    return found


def most_confused(predictions: Predictions, count: int) -> list[tuple[int, int, int]]:
    """(true class, predicted class, clips) of the `count` most confused pairs; single-label only.

    Pairs with equal counts are in the order of the classes.
    """
    matrix = confusion(predictions)
    np.fill_diagonal(matrix, 0)
    order = np.argsort(-matrix, axis=None, kind="stable")[:count]
    pairs = [divmod(int(place), len(matrix)) for place in order]
    return [(true, predicted, int(matrix[true, predicted])) for true, predicted in pairs if matrix[true, predicted]]


def confident_mistakes(predictions: Predictions, column: int, count: int) -> list[Mistake]:
    """Up to `count` mistakes about a class, the most confident first: the probability farthest from the truth."""
    truth, given = predictions.positives[:, column], predictions.guessed[:, column]
    probabilities = predictions.probabilities[:, column]
    distance = np.where(truth == given, -1.0, np.where(truth, 1.0 - probabilities, probabilities))
    order = np.argsort(-distance, kind="stable")[:count]
    return [
        Mistake(int(row), column, float(probabilities[row]), bool(truth[row])) for row in order if distance[row] >= 0
    ]
