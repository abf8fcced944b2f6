"""Metrics of how clips, or the classes of a clip, are ranked; no threshold decides anything."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import Predictions
from pannsdist.training.metrics.predictions import nan_unless_usable, ranking


@nan_unless_usable
def mean_average_precision(predictions: Predictions) -> float:
    """Mean over the classes of the average precision; where single-label, of each class against the rest."""
    return _mean(class_average_precision(predictions))


@nan_unless_usable
def roc_auc(predictions: Predictions) -> float:
    """Mean over the classes of the area under the receiver operating characteristic, each class against the rest."""
    return _mean(class_roc_auc(predictions))


@nan_unless_usable
def d_prime(predictions: Predictions) -> float:
    """Separation of two unit normals with the mean area under the curve; infinite where the area is 1.

    Source: Gemmeke et al., Audio Set, ICASSP 2017; computed as in PANNs (Kong et al., IEEE/ACM TASLP 28, 2020).
    """
    from scipy.special import ndtri

    return math.sqrt(2.0) * float(ndtri(roc_auc(predictions)))


@nan_unless_usable
def label_ranking_average_precision(predictions: Predictions) -> float:
    """Mean over the labels of a clip of the share of true ones at or before its place, then over the clips.

    Classes of equal logits share the last of their places. A clip without a label, or with all of them, has nothing to
    rank and is left out; scikit-learn counts it as 1. Source: Tsoumakas et al., Mining Multi-label Data, 2010.
    """
    from sklearn.metrics import label_ranking_average_precision_score

    count = predictions.positives.sum(axis=1)
    rows = (count > 0) & (count < len(predictions.labels))
    if not rows.any():
        return math.nan
    return float(label_ranking_average_precision_score(predictions.positives[rows], predictions.logits[rows]))


def class_average_precision(predictions: Predictions) -> NDArray[np.float64]:
    """The average precision of each class, (C,); NaN where no clip bears it."""
    from sklearn.metrics import average_precision_score

    return _each(average_precision_score, predictions, predictions.present)


def class_roc_auc(predictions: Predictions) -> NDArray[np.float64]:
    """The area under the curve of each class, (C,); NaN where no clip bears it, or every clip."""
    from sklearn.metrics import roc_auc_score

    count = predictions.positives.sum(axis=0)
    return _each(roc_auc_score, predictions, (count > 0) & (count < len(predictions.ids)))


def _each(score: Callable[..., float], predictions: Predictions, usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """score(truth (N,), ranking (N,)) of each of the `usable` classes, NaN of the others: (C,)."""
    positives, ranks = predictions.positives, ranking(predictions)
    values = np.full(len(predictions.labels), math.nan)
    for column in np.flatnonzero(usable):
        values[column] = score(positives[:, column], ranks[:, column])
    return values


def _mean(values: NDArray[np.float64]) -> float:
    """Mean of those that are numbers."""
    scored = values[~np.isnan(values)]
    return float(scored.mean()) if len(scored) else math.nan
