"""Losses of each clip: logits and targets -> (B) values. The learner takes the mean over clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import paddle
import paddle.nn.functional as F


@dataclass(frozen=True)
class TrainingLoss:
    """Cross entropy, or binary cross entropy if multi-label, with label smoothing, class weights and focal loss.

    `smoothing` moves that fraction of the target to all classes equally (Szegedy et al. 2016, arXiv 1512.00567); if
    multi-label, towards 0.5. `weights` (C) multiply each class's term; the mean over clips is not divided by them.
    `focal_gamma` multiplies each term by (1 - p)^gamma, where p is the probability of the target (Lin et al. 2017,
    arXiv 1708.02002); 0 is cross entropy.
    """

    multi_label: bool
    smoothing: float = 0.0
    weights: tuple[float, ...] = ()
    focal_gamma: float = 0.0

    def __call__(self, logits: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
        """Logits (B, C), targets (B) int64 class indices or (B, C) float32 class probabilities -> (B)."""
        if targets.ndim == 1:
            targets = F.one_hot(targets, logits.shape[1])
        uniform = 0.5 if self.multi_label else 1 / logits.shape[1]
        targets = targets * (1 - self.smoothing) + self.smoothing * uniform
        entropy = self.binary_cross_entropy if self.multi_label else self._cross_entropy
        terms = entropy(logits, targets)
        if self.weights:
            terms = terms * paddle.to_tensor(self.weights, dtype="float32")
        return terms.mean(axis=1) if self.multi_label else terms.sum(axis=1)

    def _cross_entropy(self, logits: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
        log_probabilities = F.log_softmax(logits, axis=1)
        return -targets * self._focal(log_probabilities, 1 - log_probabilities.exp())

    def binary_cross_entropy(self, logits: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
        """That of each class by itself: (..., C) and probabilities (..., C) -> (..., C)."""
        log_p, log_not_p = F.log_sigmoid(logits), F.log_sigmoid(-logits)
        return -targets * self._focal(log_p, log_not_p.exp()) - (1 - targets) * self._focal(log_not_p, log_p.exp())

    def _focal(self, log_probabilities: paddle.Tensor, error: paddle.Tensor) -> paddle.Tensor:
        if not self.focal_gamma:
            return log_probabilities
        return (
            log_probabilities * paddle.clip(error, min=1e-8) ** self.focal_gamma
        )  # the gradient of a power below 1 is infinite at 0


@dataclass(frozen=True)
class EventLoss:
    """The loss of a network that answers by frame: of its frames, and `weak_weight` times that of the whole clip.

    Both are means of the binary cross entropy of `of_class` over classes, and over the frames of a clip. A target of
    NaN, which nobody labelled, adds nothing. So a clip without strong labels has no loss of frames, and the mean over a
    batch counts it nevertheless: then the gradient is the same however processes divide a batch.
    """

    of_class: TrainingLoss
    weak_weight: float

    def __call__(self, logits: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
        """Logits (B, T + 1, C), of the clip in the last row, and targets alike -> (B)."""
        unknown = paddle.isnan(targets)
        known = paddle.where(unknown, paddle.zeros_like(targets), targets)
        smoothing = self.of_class.smoothing
        terms = self.of_class.binary_cross_entropy(logits, known * (1 - smoothing) + smoothing * 0.5)
        if self.of_class.weights:
            terms = terms * paddle.to_tensor(self.of_class.weights, dtype="float32")
        terms = paddle.where(unknown, paddle.zeros_like(terms), terms)
        return terms[:, :-1].mean(axis=[1, 2]) + self.weak_weight * terms[:, -1].mean(axis=1)


def balanced_class_weights(counts: np.ndarray) -> tuple[float, ...]:
    """Class weights (C) inversely proportional to the number of clips of each class, `counts` (C).

    Their mean over the labels of all clips is 1; a class without clips has weight 1.
    """
    present = counts > 0
    weights = counts.sum() / (present.sum() * np.where(present, counts, 1))
    return tuple(float(weight) for weight in np.where(present, weights, 1.0))


def class_weights(by_label: Mapping[str, float], labels: Sequence[str]) -> tuple[float, ...]:
    """Class weights (C) from weights by label, 1 for labels without one; empty if `by_label` is."""
    return tuple(float(by_label.get(label, 1.0)) for label in labels) if by_label else ()
