"""Scores of each class, and the most confused class pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pannsdist.contracts.predictions import Predictions, confusion
from pannsdist.training.metrics import classification, ranking


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class against the rest; NaN where undefined. `support` is its number of clips."""

    label: str
    precision: float
    recall: float
    f1: float
    average_precision: float
    roc_auc: float
    support: int


def class_scores(predictions: Predictions) -> list[ClassScores]:
    """One row per class, in the order of the labels.

    Scores are NaN for a class without clips, and for every class if a logit is not finite.
    """
    support = predictions.positives.sum(axis=0).tolist()
    if not predictions.usable:
        columns = [[math.nan] * len(predictions.labels)] * 5
    else:
        functions = (classification.class_precision, classification.class_recall, classification.class_f1)
        present = predictions.present
        columns = [np.where(present, function(predictions), math.nan).tolist() for function in functions]
        columns += [ranking.class_average_precision(predictions).tolist(), ranking.class_roc_auc(predictions).tolist()]
    return [ClassScores(*row) for row in zip(predictions.labels, *columns, support, strict=True)]


def most_confused(predictions: Predictions, count: int) -> list[tuple[int, int, int]]:
    """(true class, predicted class, clips) of the `count` most confused pairs; single-label only.

    Pairs with equal counts are in the order of the classes.
    """
    matrix = confusion(predictions)
    np.fill_diagonal(matrix, 0)
    order = np.argsort(-matrix, axis=None, kind="stable")[:count]
    pairs = [divmod(int(place), len(matrix)) for place in order]
    return [(true, predicted, int(matrix[true, predicted])) for true, predicted in pairs if matrix[true, predicted]]
