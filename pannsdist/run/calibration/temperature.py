"""The temperature: what logits are divided by, so that probabilities are frequencies.

Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017. Axes: N clips, C classes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import Predictions
from pannsdist.inference.decisions import MAX_TEMPERATURE, MIN_TEMPERATURE, probabilities

UNKNOWN_CLIPS = 0.25
"""With a whole one, few clips that are all right make every answer less sure than it was; with none, it is certain."""
HALVINGS = 80
"""Of the logarithm of the range: then the temperature is exact to the last digits of float64."""


def fit_temperature(predictions: Predictions) -> float:
    """The temperature with the least negative log likelihood, within the bounds of `Decisions`.

    The likelihood is convex in 1 / temperature, so its slope has one zero, which bisection finds. A further quarter
    of a clip, about which nothing is known, keeps it finite where every clip is right: as Platt (1999) does, its share
    is spread over the classes. Logits that are k times as large get k times the temperature, up to the bounds.
    """
    logits, wanted = predictions.logits.astype(np.float64), _targets(predictions)
    low, high = math.log(1.0 / MAX_TEMPERATURE), math.log(1.0 / MIN_TEMPERATURE)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _slope(math.exp(middle), logits, wanted, predictions.multi_label) > 0.0:
            high = middle
        else:
            low = middle
    return float(np.clip(math.exp(-(low + high) / 2), MIN_TEMPERATURE, MAX_TEMPERATURE))


def _slope(factor: float, logits: NDArray[np.float64], wanted: NDArray[np.float64], multi_label: bool) -> float:
    """The derivative of the negative log likelihood by the factor of the logits."""
    return float(((probabilities(factor * logits, multi_label) - wanted) * logits).sum(axis=1).mean())


def _targets(predictions: Predictions) -> NDArray[np.float64]:
    """The true labels (N, C), with the share of what nothing is known about."""
    clips, classes = predictions.logits.shape
    share, spread = UNKNOWN_CLIPS / (clips + UNKNOWN_CLIPS), 0.5 if predictions.multi_label else 1.0 / classes
    return np.asarray((1.0 - share) * predictions.positives + share * spread)
