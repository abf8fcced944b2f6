"""The scores of what a model decides. Axes: N clips, C classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import Predictions, losses
from pannsdist.inference.decisions import Decisions, decided
from pannsdist.run.calibration.event_counts import event_counts
from pannsdist.run.calibration.events import SCORES
from pannsdist.training.metrics import METRICS


def calibrated(decisions: Decisions, predictions: Predictions) -> Predictions:
    """The predictions with their logits divided by the temperature."""
    return replace(predictions, logits=decisions.logits(predictions.logits))


def decision_scores(decisions: Decisions, predictions: Predictions) -> dict[str, float]:
    """The scores of the decisions by name; NaN where nothing is defined.

    `decided_loss` and `decided_calibration_error` are those of the calibrated probabilities, `decided_accuracy` counts
    the clips whose labels are decided exactly, the macro scores are means over the classes that occur, and
    `decided_none` is the fraction of clips that are decided to be none of these. Those of `event_scores` follow.
    """
    if not predictions.usable:
        names = ("loss", "calibration_error", "accuracy", "macro_precision", "macro_recall", "macro_f1", "none")
        return dict.fromkeys((f"decided_{name}" for name in names), float("nan"))
    own, chosen, truth = calibrated(decisions, predictions), decided(decisions, predictions), predictions.positives
    hits, given, there = (chosen & truth).sum(axis=0), chosen.sum(axis=0), truth.sum(axis=0)
    is_present = there > 0
    precision = hits / np.maximum(given, 1)
    found = {
        "loss": float(losses(own).mean()),
        "calibration_error": METRICS["calibration_error"].compute(own),
        "accuracy": float((chosen == truth).all(axis=1).mean()),
        "macro_precision": _mean(precision[is_present]),
        "macro_recall": _mean(hits[is_present] / there[is_present]),
        "macro_f1": _mean((2.0 * hits / np.maximum(given + there, 1))[is_present]),
        "none": float((~chosen.any(axis=1)).mean()),
    }
    return {f"decided_{name}": value for name, value in {**found, **event_scores(decisions, predictions)}.items()}


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def event_scores(decisions: Decisions, predictions: Predictions) -> dict[str, float]:
    """Of the events decided by frame: means over the classes that have reference events; empty without such decisions.

    An event is right whose onset errs by at most 200 ms, and whose offset by 200 ms or a fifth of its length.
    """
    frames = predictions.frames
    if frames is None or not any(frames.events) or not decisions.frame_thresholds:
        return {}
    counts = event_counts(frames, decisions.temperature, decisions.frame_thresholds, decisions.median_s)
    seen = [one for one in counts if one.references]
    return {f"event_{name}": float(np.mean([getattr(one, name) for one in seen])) for name in SCORES}
