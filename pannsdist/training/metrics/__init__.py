"""What predictions are worth: pure functions of all predictions of a split, each with its direction.

Axes: N clips, C classes. Everything is computed in float64 and given as a Python float. Three rules hold for all:

- Without a clip, or with a logit that is not finite, every metric is NaN: a broken network has no score.
- A macro average leaves out the classes that cannot be scored: those that no clip bears, and for the area under the
  curve also those that every clip bears. Where no class remains it is NaN. `absent_labels` names the former.
- Ties are decided by the class index: the first class wins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pannsdist.contracts.predictions import Predictions, confusion, losses
from pannsdist.training.metrics import decided, probable, ranked
from pannsdist.training.metrics.per_class import ClassScores, class_scores, most_confused
from pannsdist.training.metrics.predictions import absent_labels

__all__ = [
    "METRICS",
    "ClassScores",
    "Metric",
    "Predictions",
    "absent_labels",
    "class_scores",
    "confusion",
    "losses",
    "metrics_for",
    "most_confused",
    "scores",
]


@dataclass(frozen=True)
class Metric:
    """A score with its direction, and the kinds of task that it is for."""

    name: str
    compute: Callable[[Predictions], float]
    higher_is_better: bool = True
    single_label: bool = True
    multi_label: bool = True
    minimum_classes: int = 1

    def applies(self, multi_label: bool, classes: int) -> bool:
        """Whether the score means something for such a task."""
        return (self.multi_label if multi_label else self.single_label) and classes >= self.minimum_classes


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("loss", probable.loss, higher_is_better=False),
        Metric("accuracy", decided.accuracy, multi_label=False),
        Metric("top5_accuracy", decided.top5_accuracy, multi_label=False, minimum_classes=6),
        # Of one label a clip, the mean recall bears this name too (scikit-learn's balanced_accuracy_score).
        Metric("balanced_accuracy", decided.macro_recall, multi_label=False),
        Metric("macro_precision", decided.macro_precision),
        Metric("macro_recall", decided.macro_recall),
        Metric("macro_f1", decided.macro_f1),
        Metric("micro_f1", decided.micro_f1),
        Metric("weighted_f1", decided.weighted_f1),
        Metric("cohen_kappa", decided.cohen_kappa, multi_label=False),
        Metric("mean_average_precision", ranked.mean_average_precision),
        Metric("label_ranking_average_precision", ranked.label_ranking_average_precision),
        Metric("roc_auc", ranked.roc_auc),
        Metric("d_prime", ranked.d_prime),
        Metric("calibration_error", probable.calibration_error, higher_is_better=False),
    )
}


def metrics_for(multi_label: bool, classes: int) -> dict[str, Metric]:
    """The metrics that apply to such a task, by name."""
    return {name: metric for name, metric in METRICS.items() if metric.applies(multi_label, classes)}


def scores(predictions: Predictions, split: str, further: Sequence[Metric] = ()) -> dict[str, float]:
    """Every metric that applies, and all of the `further` ones, as `split/metric`.

    The rows are sorted by id first: floating-point sums depend on their order, and the order in which processes hand in
    their shares must not show in the last digit.
    """
    ordered = predictions.sorted_by_id()
    applying = metrics_for(predictions.multi_label, len(predictions.labels))
    own = {f"{split}/{name}": metric.compute(ordered) for name, metric in applying.items()}
    for array in (ordered.logits, ordered.targets):  # copies of their own: what one metric writes, the next would see
        array.setflags(write=False)
    usable = ordered.usable
    return own | {f"{split}/{metric.name}": metric.compute(ordered) if usable else math.nan for metric in further}
