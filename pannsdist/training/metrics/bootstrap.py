"""95 % intervals of scores: the percentile bootstrap over clips, or over groups of clips.

Axes: N clips, C classes, R resamples. A resample is a column of `weights` (N, R): how often each clip was drawn. Every
statistic is computed for all resamples at once; a ranking is sorted once and not per resample.
Source: Efron, Bootstrap methods: another look at the jackknife, Annals of Statistics 7, 1979.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import Predictions, losses
from pannsdist.runtime.figures import score
from pannsdist.training.metrics import weighted
from pannsdist.training.metrics.predictions import true_class_ranks

RESAMPLES, FEWEST = 1000, 200
"""Resamples of each score; those of rankings are fewer, but not below FEWEST, for more than RANKED_VALUES N * C * R."""
RANKED_VALUES = 1 << 28
BLOCK_VALUES = 1 << 21
"""Weights that are held at a time: N * R."""
LEVEL = 0.95

Weights = NDArray[np.float32]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Resamples:
    """The scores of each resample: by metric (R,), and of each class by score (C, R), NaN where undefined.

    Both are empty where a resample is not possible.
    """

    scores: Mapping[str, Values] = field(default_factory=dict)
    classes: Mapping[str, Values] = field(default_factory=dict)

    def __or__(self, other: Resamples) -> Resamples:
        return Resamples({**self.scores, **other.scores}, {**self.classes, **other.classes})


Statistics = Callable[[Weights], Resamples]


@dataclass(frozen=True)
class Interval:
    """The range that holds the middle 95 % of a score over the resamples."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{score(self.low)} to {score(self.high)}"


def intervals(resamples: Resamples, split: str) -> dict[str, Interval]:
    """The interval of each score that has one, by `split/metric`.

    Scores that are not resampled or are undefined have none; nor has any score if a logit is not finite, or with fewer
    than two clips or groups.
    """
    found = {f"{split}/{name}": interval(values) for name, values in resamples.scores.items()}
    return {name: one for name, one in found.items() if one is not None}


def class_intervals(resamples: Resamples, column: int) -> dict[str, Interval]:
    """The interval of each score of a class that has one, by name, as `intervals`.

    A class with one or two clips is absent from more than a tenth of the resamples, and has none.
    """
    found = {name: interval(values[column]) for name, values in resamples.classes.items()}
    return {name: one for name, one in found.items() if one is not None}


def interval(values: Values) -> Interval | None:
    """The interval of the values (R,) of a score; None unless it is defined in at least nine of ten resamples."""
    ordered = np.sort(values[~np.isnan(values)])
    if len(ordered) < 0.9 * len(values) or not len(ordered):
        return None
    beyond = math.floor((1.0 - LEVEL) / 2.0 * len(ordered))
    return Interval(float(ordered[beyond]), float(ordered[-1 - beyond]))


def resampled(predictions: Predictions, seed: int = 0) -> Resamples:
    """The scores of each resample.

    Clips are drawn with replacement as often as there are clips; with `predictions.groups`, groups with all of their
    clips. The same seed gives the same values. Not resampled: the calibration error, whose resamples are biased
    upwards, and metrics of plugins, which would be called a thousand times.
    """
    ordered = predictions.sorted_by_id()
    units = np.unique(ordered.groups, return_inverse=True)[1] if ordered.groups else None
    count = len(ordered.ids) if units is None else int(units.max(initial=-1)) + 1
    if count < 2 or not ordered.usable:
        return Resamples()
    per_resample = len(ordered.ids) * len(ordered.labels)
    fewer = min(RESAMPLES, max(FEWEST, RANKED_VALUES // per_resample))
    found = _resampled(_counted(ordered), _draws(count, units, seed, RESAMPLES))
    return found | _resampled(_ranked(ordered), _draws(count, units, seed, fewer))


def _resampled(statistics: Statistics, draws: Iterator[Weights]) -> Resamples:
    blocks = [statistics(weights) for weights in draws]
    return Resamples(_joined([block.scores for block in blocks]), _joined([block.classes for block in blocks]))


def _joined(blocks: Sequence[Mapping[str, Values]]) -> dict[str, Values]:
    return {name: np.concatenate([block[name] for block in blocks], axis=-1) for name in blocks[0]}


def _draws(count: int, units: NDArray[np.integer] | None, seed: int, resamples: int) -> Iterator[Weights]:
    """Weights (N, R) in blocks; `units` (N,) are the groups of the clips, `count` of them."""
    rng = np.random.default_rng(seed)
    clips = count if units is None else len(units)
    block = max(1, BLOCK_VALUES // clips)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = rng.integers(0, count, (count, size)) * size + np.arange(size)
        weights = np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size).astype(np.float32)
        yield weights if units is None else weights[units]


def _counted(predictions: Predictions) -> Statistics:
    """The metrics that are made of sums over clips."""
    loss, counts = losses(predictions), weighted.ClassCounts.of(predictions)
    label_ranking = weighted.label_ranking(predictions)
    ranks = None if predictions.multi_label else true_class_ranks(predictions)

    def statistics(weights: Weights) -> Resamples:
        total, weighed = weights.sum(axis=0, dtype=np.float64), counts.weighed(weights)
        classes = weighed.class_scores()
        found = {"loss": loss @ weights.astype(np.float64) / total}
        found |= weighed.scores(classes, predictions.multi_label)
        found["label_ranking_average_precision"] = label_ranking(weights)
        if ranks is not None:
            found["accuracy"] = (ranks < 1).astype(np.float32) @ weights / total
            if len(predictions.labels) > 5:
                found["top5_accuracy"] = (ranks < 5).astype(np.float32) @ weights / total
        return Resamples(found, classes)

    return statistics


def _ranked(predictions: Predictions) -> Statistics:
    """The metrics of the ranking of the clips within each class."""
    from scipy.special import ndtri

    rankings = list(weighted.class_rankings(predictions))

    def statistics(weights: Weights) -> Resamples:
        clips = weights.sum(axis=0, dtype=np.float64)
        classes = np.full((2, len(predictions.labels), weights.shape[1]), math.nan)
        for column, one in zip(np.flatnonzero(predictions.present), rankings, strict=True):
            classes[:, column] = one.scores(weights, clips)
        precision, area = map(weighted.mean_of_defined, classes)
        scores = {"mean_average_precision": precision, "roc_auc": area, "d_prime": math.sqrt(2.0) * ndtri(area)}
        return Resamples(scores, {"average_precision": classes[0], "roc_auc": classes[1]})

    return statistics
