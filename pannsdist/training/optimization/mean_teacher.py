"""Mean teacher: the network also learns to agree with its own moving average, on clips without labels, too.

Source: Tarvainen and Valpola 2017, arXiv 1703.01780, with the ramp of its section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import paddle
import paddle.nn.functional as F


@dataclass(frozen=True)
class Consistency:
    """`weight` of the consistency loss beside 1 for that of labels; it rises from 0 over `ramp_steps`."""

    weight: float
    ramp_steps: int = 0

    def factor(self, step: int) -> float:
        """The weight at a step, counted from 1."""
        left = 1.0 - min(1.0, step / self.ramp_steps) if self.ramp_steps else 0.0
        return self.weight * math.exp(-5.0 * left * left)

    def loss(self, logits: paddle.Tensor, *, teacher: paddle.Tensor, step: int) -> paddle.Tensor:
        """Squared differences of probabilities, averaged over classes and frames, plus those of the clip, weighted.

        Logits (B, T + 1, C), of the clip in the last row, of the network and of its average -> (B).
        """
        squares = (F.sigmoid(logits) - F.sigmoid(teacher)).square()
        return self.factor(step) * (squares[:, :-1].mean(axis=[1, 2]) + squares[:, -1].mean(axis=1))
