"""Metrics of the probabilities themselves: the loss, and whether they can be taken at their word."""

from __future__ import annotations

import numpy as np

from pannsdist.contracts.predictions import Predictions, losses
from pannsdist.training.metrics.predictions import nan_unless_usable

CALIBRATION_BINS = 15


@nan_unless_usable
def loss(predictions: Predictions) -> float:
    """Mean cross entropy over the clips; where multi-label, mean binary cross entropy over all N * C."""
    return float(losses(predictions).mean())


@nan_unless_usable
def calibration_error(predictions: Predictions) -> float:
    """How far confidence is from the share that is right: mean distance over 15 bins of equal width, by their clips.

    The confidence of a clip is the probability of the class that it is given; where multi-label, every probability
    counts, against whether the clip bears the class. A bin reaches up to its upper edge, which belongs to it.
    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
    """
    probabilities = predictions.probabilities
    if predictions.multi_label:
        confidence, right = probabilities.ravel(), predictions.positives.ravel()
    else:
        confidence = probabilities.max(axis=1)
        right = predictions.logits.argmax(axis=1) == predictions.targets
    edges = np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)[1:-1]
    bins = np.searchsorted(edges, confidence, side="left")
    gaps = np.bincount(bins, weights=confidence - right, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(confidence))
