"""How often what is predicted with a probability is true. Axes: N clips, C classes, K bins or thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import Predictions

__all__ = ["BINS", "Reliability", "f1_over_thresholds", "reliability"]

BINS = 15


@dataclass(frozen=True, eq=False)
class Reliability:
    """For each bin with predictions (K,): the mean confidence, the frequency of right ones, and how many there are."""

    confidence: NDArray[np.float64]
    frequency: NDArray[np.float64]
    count: NDArray[np.int64]


def reliability(predictions: Predictions) -> Reliability:
    """The diagram of the calibration error: 15 bins of equal width, each with its upper edge.

    The confidence of a clip is the probability of its predicted class; if multi-label, every probability is compared
    with whether the label is present. Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
    """
    probabilities = predictions.probabilities
    if predictions.multi_label:
        confidence, correct = probabilities.ravel(), predictions.positives.ravel()
    else:
        confidence = probabilities.max(axis=1)
        correct = predictions.logits.argmax(axis=1) == predictions.targets
    places = np.searchsorted(np.linspace(0.0, 1.0, BINS + 1)[1:-1], confidence, side="left")
    count = np.bincount(places, minlength=BINS)
    kept = count > 0
    sure, right = (
        np.bincount(places, weights=one, minlength=BINS)[kept] / count[kept] for one in (confidence, correct)
    )
    return Reliability(sure, right, count[kept].astype(np.int64))


def f1_over_thresholds(predictions: Predictions, column: int, thresholds: NDArray[np.floating]) -> NDArray[np.float64]:
    """F1 (K,) of one class against the rest for each threshold (K,) of its probability."""
    given = predictions.probabilities[:, column, None] >= thresholds
    truth = predictions.positives[:, column, None]
    both = given.sum(axis=0) + truth.sum()
    return np.asarray(2.0 * (given & truth).sum(axis=0) / np.maximum(1, both))
