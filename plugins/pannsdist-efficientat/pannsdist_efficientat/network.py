"""The EfficientAT network: MobileNetV3-Large of a chosen width on mel images, with its published parameter names.

Facts from F. Schmid, K. Koutini, G. Widmer, "Efficient Large-Scale Audio Tagging via Transformer-to-CNN Knowledge
Distillation", ICASSP 2023, and its release v0.0.1; the table of blocks is that of A. Howard et al., "Searching for
MobileNetV3", ICCV 2019.
"""

from __future__ import annotations

from typing import NamedTuple

import paddle
from paddle import nn


class Block(NamedTuple):
    """One row of the MobileNetV3-Large table, in channels at width 1."""

    kernel: int
    expanded: int
    out: int
    squeezed: bool
    activation: type[nn.Layer]
    stride: int


FIRST, LAST_FACTOR, HIDDEN = 16, 6, 1280
STRIDES = (2, 2, 2, 2)
"""Of the four blocks that shrink the image; the first convolution shrinks it too."""
RE, HS = nn.ReLU, nn.Hardswish
BLOCKS = (
    Block(3, 16, 16, False, RE, 1),
    Block(3, 64, 24, False, RE, 2),
    Block(3, 72, 24, False, RE, 1),
    Block(5, 72, 40, True, RE, 2),
    Block(5, 120, 40, True, RE, 1),
    Block(5, 120, 40, True, RE, 1),
    Block(3, 240, 80, False, HS, 2),
    Block(3, 200, 80, False, HS, 1),
    Block(3, 184, 80, False, HS, 1),
    Block(3, 184, 80, False, HS, 1),
    Block(3, 480, 112, True, HS, 1),
    Block(3, 672, 112, True, HS, 1),
    Block(5, 672, 160, True, HS, 2),
    Block(5, 960, 160, True, HS, 1),
    Block(5, 960, 160, True, HS, 1),
)


def rows(strides: tuple[int, int, int, int]) -> list[Block]:
    """The table with these strides where it has those of 2."""
    given = iter(strides)
    return [row._replace(stride=next(given)) if row.stride == 2 else row for row in BLOCKS]


def eighths(channels: float) -> int:
    """The multiple of 8 nearest to `channels`, at least 8, and never below 0.9 of it (MobileNetV3's rule)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def convolution(sizes: tuple[int, int], kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Layer]:
    """Convolution without bias that keeps the image's size but for the stride, then batch norm; sizes are (in, out)."""
    weight = nn.initializer.KaimingNormal(fan_in=sizes[1] * kernel * kernel // groups)  # the fan out, in truth
    conv = nn.Conv2D(
        *sizes, kernel, stride, padding=kernel // 2, groups=groups, bias_attr=False, weight_attr=_init(weight)
    )
    # The published momentum 0.01 is the share of the new value; Paddle's is the share of the old one.
    return [conv, nn.BatchNorm2D(sizes[1], momentum=0.99, epsilon=1e-3)]


def _init(initializer: nn.initializer.Initializer) -> paddle.ParamAttr:
    return paddle.ParamAttr(initializer=initializer)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """A classifier's linear layer, as MobileNetV3 starts it."""
    return nn.Linear(inputs, outputs, _init(nn.initializer.Normal(0.0, 0.01)), _init(nn.initializer.Constant(0.0)))


class SqueezeExcitation(nn.Layer):
    """Scales every channel by a gate between 0 and 1, decided from all channels' means: (B, K, F, T), same size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = eighths(channels // 4)
        self.fc1 = nn.Linear(channels, squeezed)
        self.fc2 = nn.Linear(squeezed, channels)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, K, F, T) -> (B, K, F, T)."""
        gate = nn.functional.sigmoid(self.fc2(nn.functional.relu(self.fc1(image.mean(axis=[2, 3])))))
        return image * gate.unsqueeze([2, 3])


class ConcurrentSqueezeExcitation(nn.Layer):
    """Holds the one gate of these networks under its published name, `conc_se_layers.0`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conc_se_layers = nn.LayerList([SqueezeExcitation(channels)])

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, K, F, T) -> (B, K, F, T)."""
        return self.conc_se_layers[0](image)


class InvertedResidual(nn.Layer):
    """Expansion (absent where nothing expands), depthwise convolution, gate (where the table has one), projection."""

    def __init__(self, inputs: int, row: Block, width: float) -> None:
        super().__init__()
        expanded, outputs = eighths(row.expanded * width), eighths(row.out * width)
        self.residual = row.stride == 1 and inputs == outputs
        steps: list[nn.Layer] = []
        if expanded != inputs:
            steps.append(nn.Sequential(*convolution((inputs, expanded)), row.activation()))
        depthwise = convolution((expanded, expanded), row.kernel, row.stride, groups=expanded)
        steps.append(nn.Sequential(*depthwise, row.activation()))
        if row.squeezed:
            steps.append(ConcurrentSqueezeExcitation(expanded))
        steps.append(nn.Sequential(*convolution((expanded, outputs))))
        self.block = nn.Sequential(*steps)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, K, F, T) -> (B, K', F / stride, T / stride), rounded up."""
        result = self.block(image)
        return result + image if self.residual else result


class _MobileNetV3(nn.Layer):
    """Features (B, 1, T, F) to logits (B, C), but for the head: that is `classifier`, from (B, E, F', T').

    Works from one frame and one bin on: every convolution is padded, so strides of 2 round up. A Linear weight is
    (in, out), as Paddle has it.
    """

    classifier: nn.Layer

    def __init__(self, width: float, strides: tuple[int, int, int, int]) -> None:
        super().__init__()
        channels = eighths(FIRST * width)
        stages: list[nn.Layer] = [nn.Sequential(*convolution((1, channels), 3, 2), nn.Hardswish())]
        for row in rows(strides):
            stages.append(InvertedResidual(channels, row, width))
            channels = eighths(row.out * width)
        self.embedding_size = LAST_FACTOR * channels
        stages.append(nn.Sequential(*convolution((channels, self.embedding_size)), nn.Hardswish()))
        self.features = nn.Sequential(*stages)

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        """Features (B, 1, T, F) -> logits (B, C)."""
        return self.classifier(self.image(features))

    def embed(self, features: paddle.Tensor) -> paddle.Tensor:
        """Features (B, 1, T, F) -> the mean of the last convolution's output over both axes (B, E)."""
        return self.image(features).mean(axis=[2, 3])

    def image(self, features: paddle.Tensor) -> paddle.Tensor:
        """Features (B, 1, T, F) -> the last convolution's output (B, E, F', T'), for weights that want bins first."""
        return self.features(features.transpose([0, 1, 3, 2]))


class MobileNetV3(_MobileNetV3):
    """With MobileNetV3's own head: pooled, then two linear layers."""

    def __init__(self, width: float, classes: int, dropout: float) -> None:
        super().__init__(width, STRIDES)
        hidden = eighths(HIDDEN * width)
        # 0 and 1 pool and flatten, so that the linear layers bear their published numbers.
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2D(1),
            nn.Flatten(),
            _linear(self.embedding_size, hidden),
            nn.Hardswish(),
            nn.Dropout(dropout),
            _linear(hidden, classes),
        )


class FullyConvolutionalMobileNetV3(_MobileNetV3):
    """With a convolution to the classes and its batch norm at each place, whose mean is the clip's."""

    def __init__(self, width: float, classes: int, strides: tuple[int, int, int, int]) -> None:
        super().__init__(width, strides)
        weight = nn.initializer.KaimingNormal(fan_in=classes)  # the fan out, in truth
        self.classifier = nn.Sequential(
            nn.Conv2D(self.embedding_size, classes, 1, bias_attr=False, weight_attr=_init(weight)),
            nn.BatchNorm2D(classes),  # PyTorch's own momentum and epsilon, which are Paddle's
            nn.AdaptiveAvgPool2D(1),
            nn.Flatten(),
        )
