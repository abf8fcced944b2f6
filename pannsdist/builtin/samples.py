"""The waveform as features with one bin."""

from __future__ import annotations

import paddle
from paddle import nn


class SamplesAsFrames(nn.Layer):
    """(B, S) -> (B, 1, S, 1), float32."""

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) in [-1, 1] -> (B, 1, S, 1) float32."""
        return waveform.astype("float32").unsqueeze(1).unsqueeze(3)
