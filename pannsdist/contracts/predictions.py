"""Predictions and targets of a split.

Axes: N clips, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.frame_predictions import FramePredictions

__all__ = [
    "CLASS_SCORES",
    "ClassScores",
    "FramePredictions",
    "Predictions",
    "confusion",
    "log_softmax",
    "losses",
    "most_mistaken",
]


@dataclass(frozen=True, eq=False)
class Predictions:
    """Logits and targets of all clips of a split.

    `logits` (N, C) float32. `targets` (N,) int64 class indices, or (N, C) float32 of 0 and 1 if `multi_label`.
    `groups` (N,) names what a clip was cut from, such as a recording or a speaker; empty if every clip is its own.
    `frames` has the predictions by frame of the strongly labelled clips among them; None of a network without frames.
    Raises ValueError if the shapes or class indices are inconsistent.
    """

    ids: tuple[str, ...]
    logits: NDArray[np.floating]
    targets: NDArray[np.integer] | NDArray[np.floating]
    labels: tuple[str, ...]
    multi_label: bool
    groups: tuple[str, ...] = ()
    frames: FramePredictions | None = None

    def __post_init__(self) -> None:
        clips, classes = len(self.ids), len(self.labels)
        shape = (clips, classes)
        wanted = shape if self.multi_label else (clips,)
        if self.logits.shape != shape:
            raise ValueError(f"logits are {self.logits.shape}; {clips} ids and {classes} labels require {shape}")
        if self.targets.shape != wanted:
            raise ValueError(f"targets are {self.targets.shape}; {wanted} was expected")
        if self.groups and len(self.groups) != clips:
            raise ValueError(f"{len(self.groups)} groups for {clips} clips")
        if not self.multi_label and clips and (self.targets.min() < 0 or self.targets.max() >= classes):
            raise ValueError(f"targets reach from {self.targets.min()} to {self.targets.max()}; {classes} classes")

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Probabilities (N, C) float64: softmax over the classes, or sigmoid per class if `multi_label`."""
        if self.multi_label:
            from scipy.special import expit

            return np.asarray(expit(self.logits.astype(np.float64)))
        with np.errstate(invalid="ignore"):
            return np.exp(log_softmax(self.logits))

    @property
    def positives(self) -> NDArray[np.bool_]:
        """True labels as booleans (N, C)."""
        if self.multi_label:
            return np.asarray(self.targets > 0.5)
        return np.asarray(self.targets[:, None] == np.arange(len(self.labels)))

    @property
    def guessed(self) -> NDArray[np.bool_]:
        """Predicted labels as booleans (N, C): largest logit; if `multi_label`, probability of at least 0.5."""
        if self.multi_label:
            return np.asarray(self.logits >= 0.0)
        return np.asarray(self.logits.argmax(axis=1)[:, None] == np.arange(len(self.labels)))

    @property
    def present(self) -> NDArray[np.bool_]:
        """Whether any clip has the class: (C,)."""
        return np.asarray(self.positives.any(axis=0))

    @property
    def usable(self) -> bool:
        """Whether there is at least one clip and all logits are finite."""
        return bool(len(self.ids)) and bool(np.isfinite(self.logits).all())

    def sorted_by_id(self) -> Predictions:
        """The same predictions with rows sorted by id."""
        order = sorted(range(len(self.ids)), key=self.ids.__getitem__)
        ids = tuple(self.ids[row] for row in order)
        groups = tuple(self.groups[row] for row in order) if self.groups else ()
        frames = None if self.frames is None else self.frames.sorted_by_id()
        logits, targets = self.logits[order], self.targets[order]
        return replace(self, ids=ids, logits=logits, targets=targets, groups=groups, frames=frames)


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class against the rest; NaN where undefined, which all are for a class without clips.

    `support` is the number of clips that have the class, `predicted` the number of those that it is predicted for. Of
    a class with clips that is never predicted the precision is 0, as in scikit-learn with `zero_division=0`.
    """

    label: str
    support: int
    predicted: int
    precision: float
    recall: float
    f1: float
    average_precision: float
    roc_auc: float


CLASS_SCORES = tuple(field.name for field in fields(ClassScores))[3:]
"""The names of the scores of a class, without its label and the counts."""


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Log softmax: (N, C) -> (N, C) float64.

    The sum excludes the largest class, so that log1p distinguishes a probability of 1 - 1e-30 from 1: otherwise
    confident clips would tie at the top of a ranking.
    """
    if logits.size == 0:
        return logits.astype(np.float64)
    rows, top = np.arange(len(logits)), logits.argmax(axis=1)
    shifted = logits.astype(np.float64)
    shifted -= shifted[rows, top][:, None]
    others = np.exp(shifted)
    others[rows, top] = 0.0
    return np.asarray(shifted - np.log1p(others.sum(axis=1))[:, None])


def losses(predictions: Predictions) -> NDArray[np.float64]:
    """Loss of each clip (N,): cross entropy; if multi-label, binary cross entropy averaged over classes."""
    if predictions.multi_label:
        logits = predictions.logits.astype(np.float64)
        each = np.maximum(logits, 0.0) - logits * predictions.targets + np.log1p(np.exp(-np.abs(logits)))
        return np.asarray(each.mean(axis=1))
    true = predictions.targets[:, None].astype(np.int64)
    return np.asarray(-np.take_along_axis(log_softmax(predictions.logits), true, axis=1)[:, 0])


def confusion(predictions: Predictions) -> NDArray[np.int64]:
    """Confusion matrix (C, C) of single-label predictions: rows are true classes, columns predicted ones."""
    matrix = np.zeros((len(predictions.labels),) * 2, np.int64)
    np.add.at(matrix, (predictions.targets.astype(np.int64), predictions.logits.argmax(axis=1)), 1)
    return matrix


def most_mistaken(matrix: NDArray[np.integer], count: int) -> list[int]:
    """`count` classes of a confusion matrix (C, C), those of the most confused pairs, in the order of the labels."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    pairs = np.argsort(-(wrong + wrong.T), axis=None, kind="stable")[: 2 * count * count]
    columns = dict.fromkeys(column for pair in pairs.tolist() for column in divmod(pair, len(matrix)))
    return sorted([*columns][:count])
