"""Layers that networks of plugins share, and that the kernels of a run recognise (`pannsdist.kernels`)."""

from __future__ import annotations

import paddle
from paddle import nn


class SpatialMean(nn.Layer):
    """The mean of each channel, as in squeeze and excitation: (B, C, H, W) -> (B, C)."""

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, C, H, W) -> (B, C)."""
        return image.mean(axis=[2, 3])
