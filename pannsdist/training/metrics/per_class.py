"""Scores of each class, and which classes are taken for which."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pannsdist.contracts.predictions import Predictions, confusion
from pannsdist.training.metrics import decided, ranked


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class against the rest; NaN where they mean nothing. `support` is its number of clips."""

    label: str
    precision: float
    recall: float
    f1: float
    average_precision: float
    roc_auc: float
    support: int


def class_scores(predictions: Predictions) -> list[ClassScores]:
    """A row for each class, in the order of the labels.

    A class that no clip bears has no score; neither has any class where a logit is not finite.
    """
    support = predictions.positives.sum(axis=0).tolist()
    if not predictions.usable:
        columns = [[math.nan] * len(predictions.labels)] * 5
    else:
        functions = (decided.class_precision, decided.class_recall, decided.class_f1)
        present = predictions.present
        columns = [np.where(present, function(predictions), math.nan).tolist() for function in functions]
        columns += [ranked.class_average_precision(predictions).tolist(), ranked.class_roc_auc(predictions).tolist()]
    return [ClassScores(*row) for row in zip(predictions.labels, *columns, support, strict=True)]


def most_confused(predictions: Predictions, count: int) -> list[tuple[int, int, int]]:
    """(true class, given class, clips) of the `count` pairs that are confused most; for one label a clip.

    Equal pairs stand in the order of the classes.
    """
    matrix = confusion(predictions)
    np.fill_diagonal(matrix, 0)
    order = np.argsort(-matrix, axis=None, kind="stable")[:count]
    pairs = [divmod(int(place), len(matrix)) for place in order]
    return [(true, given, int(matrix[true, given])) for true, given in pairs if matrix[true, given]]
