"""Building blocks of PANNs: convolutions, batch norms, blocks of both, and axis permutations.

Sub-layers have the names of the published PyTorch weights (audioset_tagging_cnn).
Axes: an image is (B, channels, T, F), a line is (B, channels, T).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import paddle
from paddle import nn


@dataclass(frozen=True)
class Part:
    """One stage of a network: structured name of the sub-layer, the sub-layer, and the dropout after it."""

    name: str
    layer: nn.Layer
    dropout: float = 0.0


def convolution(inputs: int, outputs: int, kernel: int, *, groups: int = 1) -> nn.Conv2D:
    """2D convolution with same padding, without bias, with Xavier initialisation as in the original."""
    xavier = nn.initializer.XavierUniform()
    padding = kernel // 2
    return nn.Conv2D(inputs, outputs, kernel, padding=padding, groups=groups, bias_attr=False, weight_attr=xavier)


def line_convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> nn.Conv1D:
    """1D convolution with same padding, without bias, with Xavier initialisation."""
    xavier = nn.initializer.XavierUniform()
    padding = dilation * (kernel // 2)
    return nn.Conv1D(inputs, outputs, kernel, stride, padding, dilation, bias_attr=False, weight_attr=xavier)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Linear layer with Xavier weights and zero bias, as in the original."""
    return nn.Linear(inputs, outputs, nn.initializer.XavierUniform(), nn.initializer.Constant(0.0))


def norm_after(convolved: nn.Layer, scale: float = 1.0) -> nn.Layer:
    """Batch norm for the output channels of a convolution; `scale` is its initial weight."""
    kind = nn.BatchNorm1D if convolved.weight.ndim == 3 else nn.BatchNorm2D
    return kind(convolved.weight.shape[0], weight_attr=nn.initializer.Constant(scale))


def conv_stack(convolutions: Sequence[nn.Layer], pool: nn.Layer) -> nn.Sequential:
    """Convolutions, each with batch norm and ReLU, then pooling: `conv1`, `bn1`, `relu1`, `conv2` ... `pool`.

    (B, I, T, F) -> (B, O, T / pool, F / pool), or the same without F.
    """
    steps: list[tuple[str, nn.Layer]] = []
    for number, convolved in enumerate(convolutions, start=1):
        steps += [(f"conv{number}", convolved), (f"bn{number}", norm_after(convolved)), (f"relu{number}", nn.ReLU())]
    return nn.Sequential(*steps, ("pool", pool))


def average_pool(size: int | tuple[int, int]) -> nn.Layer:
    """2D average pooling; identity for size 1."""
    return nn.Identity() if size == 1 else nn.AvgPool2D(size)


def conv_block(inputs: int, outputs: int, pool: int | tuple[int, int] = 2) -> nn.Sequential:
    """Two 3x3 convolutions, then average pooling."""
    convolutions = [convolution(inputs, outputs, 3), convolution(outputs, outputs, 3)]
    return conv_stack(convolutions, average_pool(pool))


def conv_block_5x5(inputs: int, outputs: int) -> nn.Sequential:
    """One 5x5 convolution, then average pooling by 2."""
    return conv_stack([convolution(inputs, outputs, 5)], average_pool(2))


def lee_block(inputs: int, outputs: int, depth: int, *, stride: int = 1, pool: int = 3) -> nn.Sequential:
    """`depth` convolutions of 3 samples, the first with the stride, then max pooling (LeeNet)."""
    rest = [line_convolution(outputs, outputs, 3) for _ in range(depth - 1)]
    pooling = nn.MaxPool1D(pool, padding=pool // 2) if pool != 1 else nn.Identity()
    return conv_stack([line_convolution(inputs, outputs, 3, stride=stride), *rest], pooling)


def wavegram_block(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions of 3 samples, the second dilated by 2, then max pooling by 4."""
    second = line_convolution(outputs, outputs, 3, dilation=2)
    return conv_stack([line_convolution(inputs, outputs, 3), second], nn.MaxPool1D(4))


class SwapBins(nn.Layer):
    """Swap the channel and bin axes: (B, 1, T, F) -> (B, F, T, 1) and back."""

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, 1, T, F) -> (B, F, T, 1), or the inverse."""
        return image.transpose([0, 3, 2, 1])


class Line(nn.Layer):
    """Features of `waveform` as a line: (B, 1, S, 1) -> (B, 1, S)."""

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        """(B, 1, S, 1) -> (B, 1, S)."""
        return features.squeeze(3)


class Samples(nn.Layer):
    """Features of `waveform` as a waveform: (B, 1, S, 1) -> (B, S)."""

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        """(B, 1, S, 1) -> (B, S)."""
        return features.squeeze(3).squeeze(1)


class Fold(nn.Layer):
    """Reshape channels into groups of learned bins: (B, G * bins, T) -> (B, G, T, bins)."""

    def __init__(self, channels: int, bins: int) -> None:
        super().__init__()
        self._shape = [0, channels // bins, bins, -1]

    def forward(self, line: paddle.Tensor) -> paddle.Tensor:
        """(B, G * bins, T) -> (B, G, T, bins)."""
        return line.reshape(self._shape).transpose([0, 1, 3, 2])
