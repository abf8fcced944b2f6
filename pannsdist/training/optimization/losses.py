"""Losses of single clips: (B, C) logits and targets -> (B) values; the mean over clips is taken by the learner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import paddle
import paddle.nn.functional as F


@dataclass(frozen=True)
class TrainingLoss:
    """Cross entropy of one label a clip, or of several, with what training adds to it.

    `smoothing` moves that share of the target to all classes alike (Szegedy et al. 2016, arXiv 1512.00567); with
    several labels, towards one half. `weights` (C) multiply each class's term; the mean over clips stays the mean over
    clips, it is not divided by the weights. `focal_gamma` multiplies each term by (1 - p)^gamma, p being the
    probability of what is right (Lin et al. 2017, arXiv 1708.02002); 0: cross entropy.
    """

    multi_label: bool
    smoothing: float = 0.0
    weights: tuple[float, ...] = ()
    focal_gamma: float = 0.0

    def __call__(self, logits: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
        """Logits (B, C), targets (B) int64 class indices or (B, C) float32 shares -> (B)."""
        if targets.ndim == 1:
            targets = F.one_hot(targets, logits.shape[1])
        spread = 0.5 if self.multi_label else 1 / logits.shape[1]
        targets = targets * (1 - self.smoothing) + self.smoothing * spread
        terms = self._of_several(logits, targets) if self.multi_label else self._of_one(logits, targets)
        if self.weights:
            terms = terms * paddle.to_tensor(self.weights, dtype="float32")
        return terms.mean(axis=1) if self.multi_label else terms.sum(axis=1)

    def _of_one(self, logits: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
        logarithms = F.log_softmax(logits, axis=1)
        return -targets * self._focused(logarithms, 1 - logarithms.exp())

    def _of_several(self, logits: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
        yes, no = F.log_sigmoid(logits), F.log_sigmoid(-logits)
        return -targets * self._focused(yes, no.exp()) - (1 - targets) * self._focused(no, yes.exp())

    def _focused(self, logarithms: paddle.Tensor, wrong: paddle.Tensor) -> paddle.Tensor:
        if not self.focal_gamma:
            return logarithms
        return logarithms * paddle.clip(wrong, min=1e-8) ** self.focal_gamma  # a power below 1 has no slope at 0


def balanced_weights(targets: np.ndarray, classes: int) -> tuple[float, ...]:
    """A weight for each class, in inverse proportion to its clips: class indices (N), or zeros and ones (N, C).

    Their mean over the labels of all clips is 1; a class without a clip weighs 1.
    """
    counts = targets.sum(axis=0) if targets.ndim == 2 else np.bincount(targets, minlength=classes)
    present = counts > 0
    weights = counts.sum() / (present.sum() * np.where(present, counts, 1))
    return tuple(float(weight) for weight in np.where(present, weights, 1.0))


def listed_weights(by_label: Mapping[str, float], labels: Sequence[str]) -> tuple[float, ...]:
    """A weight for each class, those that are not named weighing 1; nothing where none is named."""
    return tuple(float(by_label.get(label, 1.0)) for label in labels) if by_label else ()
