"""What predictions are worth: pure functions of all predictions of a split, each with its direction.

Axes: N clips, C classes. Everything is computed in float64 and given as a Python float. Three rules hold for all:

- Without a clip, or with a logit that is not finite, every metric is NaN: a broken network has no score.
- A macro average leaves out the classes that cannot be scored: those that no clip bears, and for the area under the
  curve also those that every clip bears. Where no class remains it is NaN. `absent_labels` names the former.
- Ties are decided by the class index: the first class wins.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps

import numpy as np
from numpy.typing import NDArray

__all__ = ["METRICS", "Metric", "Predictions", "absent_labels", "metrics_for", "scores"]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a network says about every clip of a split, beside what is true.

    `logits` (N, C) float32. `targets` (N,) int64 class indices, or (N, C) float32 of 0 and 1 where `multi_label`.
    Raises ValueError where these do not fit each other.
    """

    ids: tuple[str, ...]
    logits: NDArray[np.floating]
    targets: NDArray[np.integer] | NDArray[np.floating]
    labels: tuple[str, ...]
    multi_label: bool

    def __post_init__(self) -> None:
        clips, classes = len(self.ids), len(self.labels)
        shape = (clips, classes)
        wanted = shape if self.multi_label else (clips,)
        if self.logits.shape != shape:
            raise ValueError(f"logits are {self.logits.shape}; {clips} ids and {classes} labels ask for {shape}")
        if self.targets.shape != wanted:
            raise ValueError(f"targets are {self.targets.shape}; {wanted} was expected")
        if not self.multi_label and clips and (self.targets.min() < 0 or self.targets.max() >= classes):
            raise ValueError(f"targets reach from {self.targets.min()} to {self.targets.max()}; {classes} classes")

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Probabilities (N, C) float64: a softmax over the classes, or a sigmoid each where `multi_label`."""
        if self.multi_label:
            from scipy.special import expit

            return np.asarray(expit(self.logits.astype(np.float64)))
        with np.errstate(invalid="ignore"):
            return np.exp(_log_softmax(self.logits))

    @property
    def positives(self) -> NDArray[np.bool_]:
        """Which class each clip bears: (N, C) truth values."""
        if self.multi_label:
            return np.asarray(self.targets > 0.5)
        return np.asarray(self.targets[:, None] == np.arange(len(self.labels)))

    def sorted_by_id(self) -> Predictions:
        """The same predictions, rows in the order of their ids."""
        order = sorted(range(len(self.ids)), key=self.ids.__getitem__)
        ids = tuple(self.ids[row] for row in order)
        return replace(self, ids=ids, logits=self.logits[order], targets=self.targets[order])


@dataclass(frozen=True)
class Metric:
    """A score with its direction, and the kinds of task that it is for."""

    name: str
    compute: Callable[[Predictions], float]
    higher_is_better: bool
    single_label: bool
    multi_label: bool
    minimum_classes: int = 1

    def applies(self, multi_label: bool, classes: int) -> bool:
        """Whether the score means something for such a task."""
        return (self.multi_label if multi_label else self.single_label) and classes >= self.minimum_classes


def absent_labels(predictions: Predictions) -> tuple[str, ...]:
    """The labels that no clip bears; no macro average counts them."""
    present = np.any(predictions.positives, axis=0)
    return tuple(label for label, found in zip(predictions.labels, present.tolist(), strict=True) if not found)


def metrics_for(multi_label: bool, classes: int) -> dict[str, Metric]:
    """The metrics that apply to such a task, by name."""
    return {name: metric for name, metric in METRICS.items() if metric.applies(multi_label, classes)}


def scores(predictions: Predictions, split: str) -> dict[str, float]:
    """Every metric that applies, as `split/metric`.

    The rows are sorted by id first: floating-point sums depend on their order, and the order in which processes hand in
    their shares must not show in the last digit.
    """
    ordered = predictions.sorted_by_id()
    applying = metrics_for(predictions.multi_label, len(predictions.labels))
    return {f"{split}/{name}": metric.compute(ordered) for name, metric in applying.items()}


def _nan_unless_finite(compute: Callable[[Predictions], float]) -> Callable[[Predictions], float]:
    """The function, answering NaN where there is no clip or a logit is not finite."""

    @wraps(compute)
    def guarded(predictions: Predictions) -> float:
        if not len(predictions.ids) or not np.isfinite(predictions.logits).all():
            return math.nan
        return float(compute(predictions))

    return guarded


def _log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Logarithms of the class probabilities: (N, C) -> (N, C) float64.

    The largest class is kept out of the sum, so that log1p still tells a probability of 1 - 1e-30 from 1: confident
    clips would otherwise tie at the head of a ranking.
    """
    if logits.size == 0:
        return logits.astype(np.float64)
    rows, top = np.arange(len(logits)), logits.argmax(axis=1)
    shifted = logits.astype(np.float64)
    shifted -= shifted[rows, top][:, None]
    others = np.exp(shifted)
    others[rows, top] = 0.0
    return np.asarray(shifted - np.log1p(others.sum(axis=1))[:, None])


def _ranking(predictions: Predictions) -> NDArray[np.float64]:
    """What clips are ranked by within a class, (N, C): in the order of the probabilities, but never saturated."""
    return predictions.logits.astype(np.float64) if predictions.multi_label else _log_softmax(predictions.logits)


def _places(predictions: Predictions) -> NDArray[np.int64]:
    """How many classes stand before the true one, (N,); equal logits stand in the order of the classes."""
    logits, targets = predictions.logits, predictions.targets[:, None]
    true = np.take_along_axis(logits, targets.astype(np.int64), axis=1)
    before = (logits > true) | ((logits == true) & (np.arange(logits.shape[1]) < targets))
    return np.asarray(before.sum(axis=1))


def _macro(score: Callable[..., float], predictions: Predictions, usable: NDArray[np.bool_]) -> float:
    """Mean of score(truth (N,), ranking (N,)) over the `usable` classes (C,)."""
    if not usable.any():
        return math.nan
    positives, ranking = predictions.positives, _ranking(predictions)
    return float(np.mean([score(positives[:, column], ranking[:, column]) for column in np.flatnonzero(usable)]))


@_nan_unless_finite
def loss(predictions: Predictions) -> float:
    """Mean cross entropy over the clips; where multi-label, mean binary cross entropy over all N * C."""
    if predictions.multi_label:
        logits = predictions.logits.astype(np.float64)
        losses = np.maximum(logits, 0.0) - logits * predictions.targets + np.log1p(np.exp(-np.abs(logits)))
        return float(losses.mean())
    true = predictions.targets[:, None].astype(np.int64)
    return float(-np.take_along_axis(_log_softmax(predictions.logits), true, axis=1).mean())


@_nan_unless_finite
def accuracy(predictions: Predictions) -> float:
    """Share of the clips whose true class has the largest logit."""
    return float((_places(predictions) < 1).mean())


@_nan_unless_finite
def top5_accuracy(predictions: Predictions) -> float:
    """Share of the clips whose true class is among the five largest logits."""
    return float((_places(predictions) < 5).mean())


@_nan_unless_finite
def macro_f1(predictions: Predictions) -> float:
    """Mean over the classes of the harmonic mean of precision and recall.

    A clip is given the class with the largest logit; where multi-label, every class of probability 0.5 or more.
    """
    positives, logits = predictions.positives, predictions.logits
    largest = logits.argmax(axis=1)[:, None] == np.arange(logits.shape[1])
    guessed = logits >= 0.0 if predictions.multi_label else largest
    present = positives.any(axis=0)
    if not present.any():
        return math.nan
    hits = (positives & guessed).sum(axis=0)[present]
    return float((2.0 * hits / (positives.sum(axis=0) + guessed.sum(axis=0))[present]).mean())


@_nan_unless_finite
def mean_average_precision(predictions: Predictions) -> float:
    """Mean over the classes of the average precision; where single-label, of each class against the rest."""
    from sklearn.metrics import average_precision_score

    return _macro(average_precision_score, predictions, predictions.positives.sum(axis=0) > 0)


@_nan_unless_finite
def roc_auc(predictions: Predictions) -> float:
    """Mean over the classes of the area under the receiver operating characteristic, each class against the rest."""
    from sklearn.metrics import roc_auc_score

    count = predictions.positives.sum(axis=0)
    return _macro(roc_auc_score, predictions, (count > 0) & (count < len(predictions.ids)))


@_nan_unless_finite
def d_prime(predictions: Predictions) -> float:
    """Separation of two unit normals with the mean area under the curve; infinite where the area is 1.

    Source: Gemmeke et al., Audio Set, ICASSP 2017; computed as in PANNs (Kong et al., IEEE/ACM TASLP 28, 2020).
    """
    from scipy.special import ndtri

    return math.sqrt(2.0) * float(ndtri(roc_auc(predictions)))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("loss", loss, higher_is_better=False, single_label=True, multi_label=True),
        Metric("accuracy", accuracy, higher_is_better=True, single_label=True, multi_label=False),
        Metric("top5_accuracy", top5_accuracy, True, single_label=True, multi_label=False, minimum_classes=6),
        Metric("macro_f1", macro_f1, higher_is_better=True, single_label=True, multi_label=True),
        Metric("mean_average_precision", mean_average_precision, True, single_label=True, multi_label=True),
        Metric("roc_auc", roc_auc, higher_is_better=True, single_label=True, multi_label=True),
        Metric("d_prime", d_prime, higher_is_better=True, single_label=True, multi_label=True),
    )
}
