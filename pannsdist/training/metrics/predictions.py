"""What every metric reads out of predictions.

Axes: N clips, C classes. Ties are decided by the class index: the first class wins.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import Predictions, log_softmax


def absent_labels(predictions: Predictions) -> tuple[str, ...]:
    """The labels that no clip bears; no macro average counts them."""
    return tuple(name for name, found in zip(predictions.labels, predictions.present, strict=True) if not found)


def nan_unless_usable(compute: Callable[[Predictions], float]) -> Callable[[Predictions], float]:
    """The function, answering NaN where there is no clip or a logit is not finite."""

    @wraps(compute)
    def guarded(predictions: Predictions) -> float:
        return float(compute(predictions)) if predictions.usable else math.nan

    return guarded


def ranking(predictions: Predictions) -> NDArray[np.float64]:
    """What clips are ranked by within a class, (N, C): in the order of the probabilities, but never saturated."""
    return predictions.logits.astype(np.float64) if predictions.multi_label else log_softmax(predictions.logits)


def places(predictions: Predictions) -> NDArray[np.int64]:
    """How many classes stand before the true one, (N,); equal logits stand in the order of the classes."""
    logits, targets = predictions.logits, predictions.targets[:, None]
    true = np.take_along_axis(logits, targets.astype(np.int64), axis=1)
    before = (logits > true) | ((logits == true) & (np.arange(logits.shape[1]) < targets))
    return np.asarray(before.sum(axis=1))
