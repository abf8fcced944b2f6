"""The metrics for many weightings of the clips at once, as the bootstrap needs them; weights of 1 give the metrics.

Axes: N clips, C classes, R weightings. Weights are (N, R) float32 counts, whose sums are exact up to 2 ** 24.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import Predictions
from pannsdist.training.metrics.predictions import ranking_scores

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Weights = NDArray[np.float32]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class ClassCounts:
    """Hits, predicted and true clips of each class: sparse (C, N) of 0 and 1."""

    hits: csr_matrix
    predicted: csr_matrix
    true: csr_matrix

    @classmethod
    def of(cls, predictions: Predictions) -> ClassCounts:
        """The counts of each clip."""
        from scipy.sparse import csr_matrix

        true, given = predictions.positives.T, predictions.guessed.T
        return cls(*(csr_matrix(array, dtype=np.float32) for array in (true & given, given, true)))

    def weighed(self, weights: Weights) -> WeighedCounts:
        """The counts under the weights (N, R)."""
        return WeighedCounts(
            *(np.asarray(array @ weights, np.float64) for array in (self.hits, self.predicted, self.true))
        )


@dataclass(frozen=True)
class WeighedCounts:
    """Hits, predicted and true clips of each class under each weighting, (C, R)."""

    hits: Values
    predicted: Values
    true: Values

    def class_scores(self) -> dict[str, Values]:
        """Precision, recall and F1 of each class, (C, R); NaN where it has no clips."""
        ratios = {
            "precision": _ratio(self.hits, self.predicted),
            "recall": _ratio(self.hits, self.true),
            "f1": _ratio(2.0 * self.hits, self.predicted + self.true),
        }
        return {name: np.where(self.true > 0, values, math.nan) for name, values in ratios.items()}

    def scores(self, classes: Mapping[str, Values], multi_label: bool) -> dict[str, Values]:
        """The metrics of precision, recall and agreement, (R,) each, with `classes` of `class_scores`."""
        hits, predicted, true = self.hits, self.predicted, self.true
        found = {f"macro_{name}": mean_of_defined(values) for name, values in classes.items()}
        f1 = np.nan_to_num(classes["f1"])
        found |= {
            "micro_f1": _ratio(2.0 * hits.sum(axis=0), predicted.sum(axis=0) + true.sum(axis=0)),
            "weighted_f1": _defined_ratio((f1 * true).sum(axis=0), true.sum(axis=0)),
        }
        if not multi_label:
            total = true.sum(axis=0)
            chance = (predicted * true).sum(axis=0) / total**2
            found["cohen_kappa"] = _defined_ratio(hits.sum(axis=0) / total - chance, 1.0 - chance)
            found["balanced_accuracy"] = found["macro_recall"]
        return found


@dataclass(frozen=True)
class ClassRanking:
    """The ranking of the clips for one class, sorted once; clips with equal scores are one threshold.

    Sparse matrices (K, N) over the K thresholds that a clip of the class has, from the highest: `passed` has the clips
    that a threshold adds to those of the one before, `own` the clips of the class at it, `tied` the others at it.
    """

    passed: csr_matrix
    own: csr_matrix
    tied: csr_matrix

    @classmethod
    def of(cls, truth: NDArray[np.bool_], scores: Values) -> ClassRanking:
        """The ranking of a class: truth (N,) and scores (N,)."""
        from scipy.sparse import csr_matrix

        thresholds = np.unique(scores[truth])
        below = np.searchsorted(thresholds, scores, side="right") - 1  # the highest threshold that a clip passes
        at = thresholds[below] == scores
        selected = (below >= 0, truth, at & ~truth & (below >= 0))

        def matrix(clips: NDArray[np.integer]) -> csr_matrix:
            places = (len(thresholds) - 1 - below[clips], clips)
            return csr_matrix((np.ones(len(clips), np.float32), places), shape=(len(thresholds), len(scores)))

        passed, own, tied = (matrix(np.flatnonzero(rows)) for rows in selected)
        return cls(passed, own, tied)

    def scores(self, weights: Weights, clips: Values) -> tuple[Values, Values]:
        """(average precision, ROC AUC), (R,) each; NaN where undefined. `clips` (R,) are the sums of the weights."""
        own = np.asarray(self.own @ weights, np.float64)
        hits, total = _running(own.copy()), _running(np.asarray(self.passed @ weights, np.float64))
        positives = hits[-1]
        negatives = clips - positives
        precision = _defined_ratio((own * hits / np.maximum(total, 1.0)).sum(axis=0), positives)
        above = total - hits  # clips of other classes with a score as high or higher, of which ties count half
        if self.tied.nnz:
            above -= 0.5 * (self.tied @ weights)
        area = _defined_ratio((own * (negatives - above)).sum(axis=0), positives * negatives)
        return precision, area


def class_rankings(predictions: Predictions) -> Iterator[ClassRanking]:
    """The ranking of each class that has clips."""
    truth, scores = predictions.positives, ranking_scores(predictions)
    for column in np.flatnonzero(predictions.present):
        yield ClassRanking.of(truth[:, column], scores[:, column])


def label_ranking(predictions: Predictions) -> Callable[[Weights], Values]:
    """The label ranking average precision as a function of weights (N, R) -> (R,)."""
    from scipy.stats import rankdata

    truth, scores = predictions.positives, -predictions.logits.astype(np.float64)
    count = truth.sum(axis=1)
    rows = (count > 0) & (count < truth.shape[1])
    own = rankdata(np.where(truth, scores, math.inf), method="max", axis=1)
    each = np.where(truth, own / rankdata(scores, method="max", axis=1), 0.0).sum(axis=1) / np.maximum(count, 1)
    ranked, used = np.where(rows, each, 0.0), rows.astype(np.float64)
    return lambda weights: _defined_ratio(ranked @ weights, used @ weights)


def mean_of_defined(values: Values) -> Values:
    """The mean over the classes (C, R) -> (R,), without those that are NaN; NaN if there are none."""
    defined = ~np.isnan(values)
    return _defined_ratio(np.where(defined, values, 0.0).sum(axis=0), defined.sum(axis=0))


def _running(rows: Values) -> Values:
    """The running sums over the rows, in place; much faster than `np.cumsum` over the first of two axes."""
    for number in range(1, len(rows)):
        rows[number] += rows[number - 1]
    return rows


def _ratio(numerator: Values, denominator: Values) -> Values:
    """The quotient of counts; 0 / 0 is 0."""
    return np.asarray(numerator / np.maximum(denominator, 1.0))


def _defined_ratio(numerator: NDArray[np.floating], denominator: NDArray[np.number]) -> Values:
    """The quotient, NaN where the denominator is 0."""
    is_defined = denominator != 0
    return np.where(is_defined, numerator / np.where(is_defined, denominator, 1), math.nan)
