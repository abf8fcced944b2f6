"""Losses of single clips: (B, C) logits and targets -> (B) values; the mean over clips is taken by the learner."""

from __future__ import annotations

import paddle
import paddle.nn.functional as F


def cross_entropy(logits: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
    """Softmax cross entropy: logits (B, C), class indices (B) int64 or shares of the classes (B, C) float32 -> (B)."""
    return F.cross_entropy(logits, targets, reduction="none", soft_label=targets.ndim == 2).reshape([-1])


def binary_cross_entropy(logits: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
    """Mean over classes of the sigmoid cross entropy: logits (B, C), zeros and ones (B, C) -> (B)."""
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(axis=1)
