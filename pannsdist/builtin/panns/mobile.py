"""MobileNet V1 and V2 of PANNs: depthwise separable convolutions, downsampled by average pooling instead of strides.

Indices in the sequences are those of the published keys, so that pooling by a stride of 1 is an identity layer.
"""

from __future__ import annotations

from itertools import pairwise

import paddle
from paddle import nn

from pannsdist.builtin.panns.blocks import average_pool, convolution, norm_after

V1_WIDTHS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
V1_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
V2_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 2),
    (6, 160, 3, 1),
    (6, 320, 1, 1),
)
"""Expansion, width, number of blocks, stride of the first block."""
V2_FIRST, V2_LAST = 32, 1280


def pooled_convolution(convolved: nn.Conv2D, stride: int, activation: type[nn.Layer]) -> list[nn.Layer]:
    """A convolution, average pooling by the stride, batch norm, activation."""
    return [convolved, average_pool(stride), norm_after(convolved), activation()]


def pointwise(inputs: int, outputs: int) -> list[nn.Layer]:
    """A 1x1 convolution with batch norm."""
    convolved = convolution(inputs, outputs, 1)
    return [convolved, norm_after(convolved)]


def mobile_v1() -> nn.Sequential:
    """(B, 1, T, F) -> (B, 1024, T / 32, F / 32)."""
    blocks = [nn.Sequential(*pooled_convolution(convolution(1, V1_WIDTHS[0], 3), 2, nn.ReLU))]
    for (inputs, outputs), stride in zip(pairwise(V1_WIDTHS), V1_STRIDES, strict=True):
        depthwise = pooled_convolution(convolution(inputs, inputs, 3, groups=inputs), stride, nn.ReLU)
        blocks.append(nn.Sequential(*depthwise, *pointwise(inputs, outputs), nn.ReLU()))
    return nn.Sequential(*blocks)


class InvertedResidual(nn.Layer):
    """Inverted residual block of MobileNet V2: expansion, depthwise convolution, projection, residual connection."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        wider = [*pointwise(inputs, hidden), nn.ReLU6()] if expansion != 1 else []
        depthwise = pooled_convolution(convolution(hidden, hidden, 3, groups=hidden), stride, nn.ReLU6)
        self.conv = nn.Sequential(*wider, *depthwise, *pointwise(hidden, outputs))
        self._is_added = stride == 1 and inputs == outputs

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, I, T, F) -> (B, O, T / stride, F / stride)."""
        return image + self.conv(image) if self._is_added else self.conv(image)


def mobile_v2() -> nn.Sequential:
    """(B, 1, T, F) -> (B, 1280, T / 32, F / 32)."""
    blocks: list[nn.Layer] = [nn.Sequential(*pooled_convolution(convolution(1, V2_FIRST, 3), 2, nn.ReLU6))]
    inputs = V2_FIRST
    for expansion, outputs, depth, stride in V2_STAGES:
        for number in range(depth):
            blocks.append(InvertedResidual(inputs, outputs, stride if number == 0 else 1, expansion))
            inputs = outputs
    blocks.append(nn.Sequential(*pointwise(inputs, V2_LAST), nn.ReLU6()))
    return nn.Sequential(*blocks)
