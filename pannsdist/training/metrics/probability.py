"""Metrics of the predicted probabilities: loss and calibration."""

from __future__ import annotations

import numpy as np

from pannsdist.contracts.predictions import Predictions, losses
from pannsdist.training.metrics.predictions import nan_unless_usable

CALIBRATION_BINS = 15


@nan_unless_usable
def loss(predictions: Predictions) -> float:
    """Mean cross entropy over the clips; if multi-label, mean binary cross entropy over all N * C."""
    return float(losses(predictions).mean())


@nan_unless_usable
def calibration_error(predictions: Predictions) -> float:
    """Expected calibration error: mean |confidence - accuracy| over 15 bins of equal width, weighted by their size.

    The confidence of a clip is the probability of its predicted class; if multi-label, every probability is compared
    with whether the label is present. A bin includes its upper edge.
    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
    """
    probabilities = predictions.probabilities
    if predictions.multi_label:
        confidence, correct = probabilities.ravel(), predictions.positives.ravel()
    else:
        confidence = probabilities.max(axis=1)
        correct = predictions.logits.argmax(axis=1) == predictions.targets
    edges = np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)[1:-1]
    bins = np.searchsorted(edges, confidence, side="left")
    gaps = np.bincount(bins, weights=confidence - correct, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(confidence))
