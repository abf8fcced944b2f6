"""Threshold-free metrics of the ranking of clips within a class, or of classes within a clip."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import Predictions
from pannsdist.training.metrics.predictions import nan_unless_usable, ranking_scores

ClassValues = Callable[[Predictions], NDArray[np.float64]]


def _once(compute: ClassValues) -> ClassValues:
    """A decorator: computed once for predictions whose arrays are read-only, for the means and for each class."""
    known: WeakKeyDictionary[Predictions, NDArray[np.float64]] = WeakKeyDictionary()

    @wraps(compute)
    def remembered(predictions: Predictions) -> NDArray[np.float64]:
        if predictions.logits.flags.writeable or predictions.targets.flags.writeable:
            return compute(predictions)
        if predictions not in known:
            known[predictions] = compute(predictions)
        return known[predictions].copy()

    return remembered


@nan_unless_usable
def mean_average_precision(predictions: Predictions) -> float:
    """Mean over the classes of the average precision; if single-label, one class against the rest."""
    return _mean(class_average_precision(predictions))


@nan_unless_usable
def roc_auc(predictions: Predictions) -> float:
    """Mean over the classes of the area under the ROC curve, one class against the rest."""
    return _mean(class_roc_auc(predictions))


@nan_unless_usable
def d_prime(predictions: Predictions) -> float:
    """d-prime: the separation of two unit normals with this mean ROC AUC; infinite where it is 1.

    Source: Gemmeke et al., Audio Set, ICASSP 2017; computed as in PANNs (Kong et al., IEEE/ACM TASLP 28, 2020).
    """
    from scipy.special import ndtri

    return math.sqrt(2.0) * float(ndtri(roc_auc(predictions)))


@nan_unless_usable
def label_ranking_average_precision(predictions: Predictions) -> float:
    """Mean over clips of the mean, over a clip's labels, of the precision among the classes ranked at or above it.

    Classes with equal logits get the last of their ranks. A clip with no label, or with all of them, is excluded;
    scikit-learn counts it as 1. Source: Tsoumakas et al., Mining Multi-label Data, 2010.
    """
    from sklearn.metrics import label_ranking_average_precision_score

    count = predictions.positives.sum(axis=1)
    rows = (count > 0) & (count < len(predictions.labels))
    if not rows.any():
        return math.nan
    return float(label_ranking_average_precision_score(predictions.positives[rows], predictions.logits[rows]))


@_once
def class_average_precision(predictions: Predictions) -> NDArray[np.float64]:
    """The average precision of each class, (C,); NaN where it has no positive clips."""
    from sklearn.metrics import average_precision_score

    return _per_class(average_precision_score, predictions, predictions.present)


@_once
def class_roc_auc(predictions: Predictions) -> NDArray[np.float64]:
    """The ROC AUC of each class, (C,); NaN where it has no positive or no negative clips."""
    from sklearn.metrics import roc_auc_score

    count = predictions.positives.sum(axis=0)
    return _per_class(roc_auc_score, predictions, (count > 0) & (count < len(predictions.ids)))


def _per_class(score: Callable[..., float], predictions: Predictions, usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """score(positives (N,), ranking scores (N,)) of each `usable` class, NaN for the others: (C,)."""
    positives, ranks = predictions.positives, ranking_scores(predictions)
    values = np.full(len(predictions.labels), math.nan)
    for column in np.flatnonzero(usable):
        values[column] = score(positives[:, column], ranks[:, column])
    return values


def _mean(values: NDArray[np.float64]) -> float:
    """Mean over the values that are not NaN; NaN if there are none."""
    scored = values[~np.isnan(values)]
    return float(scored.mean()) if len(scored) else math.nan
