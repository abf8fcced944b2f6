"""Paddle's own losses, a value for each clip: what those of pannsdist are compared with."""

import paddle.nn.functional as F


def cross_entropy(logits, targets):
    """Logits (B, C), class indices (B) or shares of the classes (B, C) -> (B)."""
    return F.cross_entropy(logits, targets, reduction="none", soft_label=targets.ndim == 2).reshape([-1])


def binary_cross_entropy(logits, targets):
    """Mean over the classes: logits (B, C), targets (B, C) -> (B)."""
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(axis=1)
