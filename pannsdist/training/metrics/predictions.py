"""Quantities that several metrics derive from predictions.

Axes: N clips, C classes. Ties are broken by the class index: the first class wins.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import Predictions, log_softmax


def absent_labels(predictions: Predictions) -> tuple[str, ...]:
    """The labels without clips, which macro averages exclude."""
    return tuple(name for name, found in zip(predictions.labels, predictions.present, strict=True) if not found)


def nan_unless_usable(compute: Callable[[Predictions], float]) -> Callable[[Predictions], float]:
    """A decorator: the metric is NaN without clips, or if a logit is not finite."""

    @wraps(compute)
    def guarded(predictions: Predictions) -> float:
        return float(compute(predictions)) if predictions.usable else math.nan

    return guarded


def ranking_scores(predictions: Predictions) -> NDArray[np.float64]:
    """Scores (N, C) to rank clips within a class: ordered like the probabilities, but without their saturation."""
    return predictions.logits.astype(np.float64) if predictions.multi_label else log_softmax(predictions.logits)


def true_class_ranks(predictions: Predictions) -> NDArray[np.int64]:
    """The number of classes ranked above the true one, (N,); equal logits rank in the order of the classes."""
    logits, targets = predictions.logits, predictions.targets[:, None]
    true = np.take_along_axis(logits, targets.astype(np.int64), axis=1)
    before = (logits > true) | ((logits == true) & (np.arange(logits.shape[1]) < targets))
    return np.asarray(before.sum(axis=1))
