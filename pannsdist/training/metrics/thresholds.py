"""Precision and recall of a class over all thresholds, and the threshold with the best F1.

A threshold that is chosen on the clips that it is judged on is optimistic: judge it on other clips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import Predictions


@dataclass(frozen=True, eq=False)
class ThresholdCurve:
    """`recall` and `precision` (K,) of one class against the rest, one for each distinct probability, descending.

    `threshold` is in the middle between the two probabilities around the best F1, which is `f1`; `best` is its place.
    """

    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    threshold: float
    f1: float
    best: int


def threshold_curve(predictions: Predictions, column: int) -> ThresholdCurve | None:
    """The curve of a class; None if no clip has it, or a logit is not finite. Of equal F1, the higher threshold."""
    truth = predictions.positives[:, column]
    if not predictions.usable or not truth.any():
        return None
    probabilities = predictions.probabilities[:, column]
    order = np.argsort(-probabilities, kind="stable")
    falling, hits = probabilities[order], np.cumsum(truth[order])
    ends = np.flatnonzero(np.append(np.diff(falling) < 0.0, True))  # ties are predicted together
    found = hits[ends].astype(np.float64)
    recall, precision = found / truth.sum(), found / (ends + 1)
    f1 = 2.0 * found / (ends + 1 + truth.sum())
    best = int(f1.argmax())
    below = falling[ends[best] + 1] if ends[best] + 1 < len(falling) else 0.0
    return ThresholdCurve(recall, precision, float((falling[ends[best]] + below) / 2), float(f1[best]), best)
