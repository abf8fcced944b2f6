"""Metrics: pure functions of all predictions of a split, each with its direction.

Axes: N clips, C classes. Everything is computed in float64 and returned as a Python float. Rules for all metrics:

- Without clips, or with a logit that is not finite, every metric is NaN.
- A macro average excludes classes without a defined score: those without positive clips, and for the area under the
  curve also those without negative clips. It is NaN if no class remains. `absent_labels` lists the former.
- Ties are broken by the class index: the first class wins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pannsdist.contracts.predictions import CLASS_SCORES, ClassScores, Predictions, confusion, losses
from pannsdist.training.metrics import classification, probability, ranking
from pannsdist.training.metrics.bootstrap import Interval, Resamples, class_intervals, interval, intervals, resampled
from pannsdist.training.metrics.per_class import (
    Mean,
    Mistake,
    class_means,
    class_scores,
    confident_mistakes,
    most_confused,
)
from pannsdist.training.metrics.predictions import absent_labels
from pannsdist.training.metrics.thresholds import ThresholdCurve, threshold_curve

__all__ = [
    "CLASS_SCORES",
    "METRICS",
    "ClassScores",
    "Interval",
    "Mean",
    "Metric",
    "Mistake",
    "Predictions",
    "Resamples",
    "Scored",
    "ThresholdCurve",
    "absent_labels",
    "class_intervals",
    "class_means",
    "class_scores",
    "confident_mistakes",
    "confusion",
    "interval",
    "intervals",
    "losses",
    "metrics_for",
    "most_confused",
    "resampled",
    "scored",
    "scores",
    "threshold_curve",
]


@dataclass(frozen=True)
class Metric:
    """A metric with its direction, and the kinds of task it applies to."""

    name: str
    compute: Callable[[Predictions], float]
    higher_is_better: bool = True
    single_label: bool = True
    multi_label: bool = True
    minimum_classes: int = 1

    def applies(self, multi_label: bool, classes: int) -> bool:
        """Whether the metric is defined for such a task."""
        return (self.multi_label if multi_label else self.single_label) and classes >= self.minimum_classes


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("loss", probability.loss, higher_is_better=False),
        Metric("accuracy", classification.accuracy, multi_label=False),
        Metric("top5_accuracy", classification.top5_accuracy, multi_label=False, minimum_classes=6),
        # Single-label only: the macro recall, as scikit-learn's balanced_accuracy_score.
        Metric("balanced_accuracy", classification.macro_recall, multi_label=False),
        Metric("macro_precision", classification.macro_precision),
        Metric("macro_recall", classification.macro_recall),
        Metric("macro_f1", classification.macro_f1),
        Metric("micro_f1", classification.micro_f1),
        Metric("weighted_f1", classification.weighted_f1),
        Metric("cohen_kappa", classification.cohen_kappa, multi_label=False),
        Metric("mean_average_precision", ranking.mean_average_precision),
        Metric("label_ranking_average_precision", ranking.label_ranking_average_precision),
        Metric("roc_auc", ranking.roc_auc),
        Metric("d_prime", ranking.d_prime),
        Metric("calibration_error", probability.calibration_error, higher_is_better=False),
    )
}


def metrics_for(multi_label: bool, classes: int) -> dict[str, Metric]:
    """The metrics that apply to such a task, by name."""
    return {name: metric for name, metric in METRICS.items() if metric.applies(multi_label, classes)}


@dataclass(frozen=True)
class Scored:
    """All scores of predictions as `split/metric`, and those of each class; both are made of the same numbers."""

    scores: dict[str, float]
    classes: tuple[ClassScores, ...]


def scored(predictions: Predictions, split: str, extra_metrics: Sequence[Metric] = ()) -> Scored:
    """All applicable metrics, the `extra_metrics`, and the scores of each class.

    Rows are sorted by id first: floating-point sums depend on the order, and scores must not depend on the sharding.
    """
    ordered = predictions.sorted_by_id()
    frames = () if ordered.frames is None else (ordered.frames.logits, ordered.frames.durations_s)
    for array in (ordered.logits, ordered.targets, *frames):  # copies; no metric may modify what the next one reads
        array.setflags(write=False)
    applying = metrics_for(predictions.multi_label, len(predictions.labels))
    own = {f"{split}/{name}": metric.compute(ordered) for name, metric in applying.items()}
    classes, usable = class_scores(ordered), ordered.usable
    extra = {f"{split}/{metric.name}": metric.compute(ordered) if usable else math.nan for metric in extra_metrics}
    return Scored(own | extra, classes)


def scores(predictions: Predictions, split: str, extra_metrics: Sequence[Metric] = ()) -> dict[str, float]:
    """The scores of `scored`."""
    return scored(predictions, split, extra_metrics).scores
