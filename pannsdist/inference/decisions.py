"""What a model decides: its probabilities, calibrated, the threshold of each class, and "none of these".

Axes: N clips, T frames, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import Predictions, log_softmax

NONE_OF_THESE = "none of these"
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 100.0
MIN_THRESHOLD, MAX_THRESHOLD = 1e-6, 1.0 - 1e-6
"""Closer to 0 and 1, float32, which a network computes in, cannot tell probabilities apart."""
MAX_ENERGY, MAX_MEDIAN_S = 1e9, 60.0
MAX_LETTERS = 1000
GOALS = ("f1", "precision", "recall")


@dataclass(frozen=True)
class Decisions:
    """What was fitted for a model of C classes.

    Logits are divided by `temperature`. `thresholds` (C,) are probabilities, and `threshold` the one that was fitted
    for all classes alike. A clip of a single-label model whose energy is below `min_energy` is none of these; None:
    every clip has an answer. `frame_thresholds` and `median_s` (C,) decide on frames; empty for a model without frames.
    `goal` is what the thresholds were chosen for, `goal_value` the precision or recall that was asked for, and
    `fitted_on` names the `clips` that none of this model's training used.
    """

    temperature: float
    thresholds: tuple[float, ...]
    threshold: float
    min_energy: float | None = None
    frame_thresholds: tuple[float, ...] = ()
    median_s: tuple[float, ...] = ()
    goal: str = "f1"
    goal_value: float = 0.0
    rejected: float = 0.0
    fitted_on: str = ""
    clips: int = 0

    def chosen(self, probabilities: np.ndarray, energies: np.ndarray, multi_label: bool) -> NDArray[np.bool_]:
        """The decisions (N, C) from calibrated probabilities (N, C) and energies (N,); a row without: none of these.

        Single label: the most probable class, the first of equal ones, unless the energy is below `min_energy`. Several
        labels: every class that reaches its threshold. Compared as float32, in which a network computes.
        """
        found = np.asarray(probabilities, np.float32)
        if multi_label:
            return np.asarray(found >= np.asarray(self.thresholds, np.float32))
        top = found.argmax(axis=1)[:, None] == np.arange(found.shape[1])
        if self.min_energy is None:
            return np.asarray(top)
        is_known = np.asarray(energies, np.float32) >= np.float32(self.min_energy)
        return np.asarray(top & is_known[:, None])

    def logits(self, logits: np.ndarray) -> NDArray[np.float64]:
        """Logits divided by the temperature."""
        return np.asarray(logits, np.float64) / self.temperature


def energies(logits: NDArray[np.floating], multi_label: bool) -> NDArray[np.float64]:
    """The energy of each clip (N,), from logits (N, C) that were divided by the temperature: low for unknown sounds.

    Single label: logsumexp over the classes (Liu et al., Energy-based Out-of-distribution Detection, NeurIPS 2020),
    here with the sign that known sounds have high values. Several labels: the sum of log(1 + exp(logit)) (Wang et al.,
    Can multi-label classification networks know what they don't know?, NeurIPS 2021).
    """
    own = np.asarray(logits, np.float64)
    if multi_label:
        return np.asarray(np.logaddexp(0.0, own).sum(axis=1))
    top = own.max(axis=1, keepdims=True)
    return np.asarray(top[:, 0] + np.log(np.exp(own - top).sum(axis=1)))


def decided(decisions: Decisions, predictions: Predictions) -> NDArray[np.bool_]:
    """The decisions (N, C) on predictions whose logits are the network's own."""
    own, multi_label = decisions.logits(predictions.logits), predictions.multi_label
    return decisions.chosen(probabilities(own, multi_label), energies(own, multi_label), multi_label)


def probabilities(logits: NDArray[np.floating], multi_label: bool) -> NDArray[np.float64]:
    """Softmax over the last axis, or sigmoid: (N, C) -> (N, C)."""
    if multi_label:
        from scipy.special import expit

        return np.asarray(expit(np.asarray(logits, np.float64)))
    return np.exp(log_softmax(np.asarray(logits, np.float64)))


def answer(decision: NDArray[np.bool_], labels: Sequence[str], scores: np.ndarray) -> tuple[str, ...]:
    """The labels of one decision (C,), the most probable first; empty for none of these."""
    return tuple(labels[column] for column in np.argsort(-scores, kind="stable") if decision[column])


def read_decisions(content: Mapping[str, Any] | None, classes: int) -> Decisions | None:
    """The record of `bundle.json`; None where there is none. Raises ValueError, TypeError for what was never fitted."""
    if content is None:
        return None
    lists = {name: tuple(content.get(name, ())) for name in ("thresholds", "frame_thresholds", "median_s")}
    found = Decisions(**{**content, **lists})
    _require(found.temperature, MIN_TEMPERATURE, MAX_TEMPERATURE, "temperature")
    for value in (found.threshold, *found.thresholds, *found.frame_thresholds):
        _require(value, MIN_THRESHOLD, MAX_THRESHOLD, "a threshold")
    for value in found.median_s:
        _require(value, 0.0, MAX_MEDIAN_S, "a length of a median filter")
    if len(found.thresholds) != classes or {len(found.frame_thresholds), len(found.median_s)} - {0, classes}:
        raise ValueError(f"decisions on other classes than the {classes} of the model")
    if found.min_energy is not None:
        _require(found.min_energy, -MAX_ENERGY, MAX_ENERGY, "min_energy")
    if found.goal not in GOALS or type(found.clips) is not int or not 0 <= found.clips < 1 << 53:
        raise ValueError("decisions for another goal, or without their number of clips")
    for value in (found.goal_value, found.rejected):
        _require(value, 0.0, 1.0, "a goal")
    words = found.fitted_on
    if not isinstance(words, str) or len(words) > MAX_LETTERS or not words.isprintable():
        raise ValueError("decisions fitted on what is no text")
    return found


def _require(value: Any, least: float, most: float, name: str) -> None:
    if type(value) not in (int, float) or not math.isfinite(value) or not least <= value <= most:
        raise ValueError(f"{name} of the decisions is no number from {least:g} to {most:g}")
