"""The EfficientAT network: MobileNetV3-Large of variable width on mel features, with the published parameter names.

Facts from F. Schmid, K. Koutini, G. Widmer, "Efficient Large-Scale Audio Tagging via Transformer-to-CNN Knowledge
Distillation", ICASSP 2023, and its release v0.0.1; the table of blocks is that of A. Howard et al., "Searching for
MobileNetV3", ICCV 2019.
"""

from __future__ import annotations

from typing import NamedTuple

import paddle
from paddle import nn

from pannsdist.contracts.layers import SpatialMean


class Block(NamedTuple):
    """One row of the MobileNetV3-Large table; channels are for width 1."""

    kernel: int
    expanded: int
    out: int
    squeezed: bool
    activation: type[nn.Layer]
    stride: int


FIRST, LAST_FACTOR, HIDDEN = 16, 6, 1280
STRIDES = (2, 2, 2, 2)
"""Strides of the four downsampling blocks; the first convolution has stride 2 too."""
TOTAL_STRIDE = 32
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
    """The table, with its strides of 2 replaced by these."""
    given = iter(strides)
    return [row._replace(stride=next(given)) if row.stride == 2 else row for row in BLOCKS]


def eighths(channels: float) -> int:
    """The multiple of 8 nearest to `channels`, at least 8, and never below 0.9 of it (MobileNetV3's rule)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class Pace(NamedTuple):
    """How far a convolution moves in bins and in frames, and how many frames lie between its weights."""

    bins: int = 1
    frames: int = 1
    dilation: int = 1


UNSTRIDED = Pace()


class Clock:
    """Hands out the steps of the convolutions of a network that halves its frames only up to a total stride.

    Where a stride of frames is left out, all later convolutions are spread over twice as many frames: each of their
    outputs is then, but for edges and means over time, one of the network that has the stride, so that its weights keep
    their meaning (L.-C. Chen et al., "DeepLab", 2016; "algorithme a trous").
    """

    def __init__(self, frame_stride: int) -> None:
        self._left, self._dilation = frame_stride, 1

    def pace(self, stride: int) -> Pace:
        """The steps of the next convolution, of stride 1 or 2 in the original."""
        if self._left >= stride:
            self._left //= stride
            return Pace(stride, stride, self._dilation)
        pace = Pace(stride, 1, self._dilation)
        self._dilation *= stride
        return pace


def convolution(
    sizes: tuple[int, int],
    kernel: int = 1,
    pace: Pace = UNSTRIDED,
    groups: int = 1,
) -> list[nn.Layer]:
    """Convolution without bias and with same padding, then batch norm; sizes are (in, out) channels."""
    weight = nn.initializer.KaimingNormal(fan_in=sizes[1] * kernel * kernel // groups)  # actually the fan out
    half, dilation = kernel // 2, (1, pace.dilation)
    conv = nn.Conv2D(
        *sizes,
        kernel,
        pace[:2],
        padding=[half, half * pace.dilation],
        dilation=dilation,
        groups=groups,
        bias_attr=False,
        weight_attr=_init(weight),
    )
    # The published momentum 0.01 is the weight of the new value; Paddle's momentum is the weight of the old one.
    return [conv, nn.BatchNorm2D(sizes[1], momentum=0.99, epsilon=1e-3)]


def _init(initializer: nn.initializer.Initializer) -> paddle.ParamAttr:
    return paddle.ParamAttr(initializer=initializer)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer of the classifier, initialized as in MobileNetV3."""
    return nn.Linear(inputs, outputs, _init(nn.initializer.Normal(0.0, 0.01)), _init(nn.initializer.Constant(0.0)))


class SqueezeExcitation(nn.Layer):
    """Squeeze and excitation: scales channels by gates computed from the channel means: (B, K, F, T), same size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = eighths(channels // 4)
        self.mean = SpatialMean()
        self.fc1 = nn.Linear(channels, squeezed)
        self.fc2 = nn.Linear(squeezed, channels)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, K, F, T) -> (B, K, F, T)."""
        gate = nn.functional.sigmoid(self.fc2(nn.functional.relu(self.fc1(self.mean(image)))))
        return image * gate.unsqueeze([2, 3])


class ConcurrentSqueezeExcitation(nn.Layer):
    """Wraps the squeeze-and-excitation layer under its published name, `conc_se_layers.0`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conc_se_layers = nn.LayerList([SqueezeExcitation(channels)])

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, K, F, T) -> (B, K, F, T)."""
        return self.conc_se_layers[0](image)


class InvertedResidual(nn.Layer):
    """Inverted residual block: optional expansion, depthwise convolution, optional gate, projection."""

    def __init__(self, inputs: int, row: Block, width: float, pace: Pace) -> None:
        super().__init__()
        expanded, outputs = eighths(row.expanded * width), eighths(row.out * width)
        self.residual = row.stride == 1 and inputs == outputs
        steps: list[nn.Layer] = []
        if expanded != inputs:
            steps.append(nn.Sequential(*convolution((inputs, expanded)), row.activation()))
        depthwise = convolution((expanded, expanded), row.kernel, pace, groups=expanded)
        steps.append(nn.Sequential(*depthwise, row.activation()))
        if row.squeezed:
            steps.append(ConcurrentSqueezeExcitation(expanded))
        steps.append(nn.Sequential(*convolution((expanded, outputs))))
        self.block = nn.Sequential(*steps)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, K, F, T) -> (B, K', F / stride, T / stride), rounded up, or T where the step of frames is 1."""
        result = self.block(image)
        return result + image if self.residual else result


class MobileNetTrunk(nn.Layer):
    """Features (B, 1, T, F) to logits (B, C); subclasses define the head `classifier`, from (B, E, F', T').

    Works with any number of frames and bins from one: convolutions are padded, so strides of 2 round up. Linear weights
    are (in, out), as in Paddle.
    """

    classifier: nn.Layer

    def __init__(self, width: float, strides: tuple[int, int, int, int], frame_stride: int = TOTAL_STRIDE) -> None:
        super().__init__()
        channels, clock = eighths(FIRST * width), Clock(frame_stride)
        stages: list[nn.Layer] = [nn.Sequential(*convolution((1, channels), 3, clock.pace(2)), nn.Hardswish())]
        for row in rows(strides):
            stages.append(InvertedResidual(channels, row, width, clock.pace(row.stride)))
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
        """Features (B, 1, T, F) -> the last convolution's output (B, E, F', T'); weights expect bins before frames."""
        return self.features(features.transpose([0, 1, 3, 2]))


class MobileNetV3(MobileNetTrunk):
    """With MobileNetV3's head: pooling, then two linear layers."""

    def __init__(self, width: float, classes: int, dropout: float) -> None:
        super().__init__(width, STRIDES)
        hidden = eighths(HIDDEN * width)
        # Layers 0 and 1 pool and flatten, so that the linear layers have their published indices.
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2D(1),
            nn.Flatten(),
            linear(self.embedding_size, hidden),
            nn.Hardswish(),
            nn.Dropout(dropout),
            linear(hidden, classes),
        )


class FullyConvolutionalMobileNetV3(MobileNetTrunk):
    """With a 1x1 convolution to the classes and batch norm at each position, then mean pooling."""

    def __init__(self, width: float, classes: int, strides: tuple[int, int, int, int]) -> None:
        super().__init__(width, strides)
        weight = nn.initializer.KaimingNormal(fan_in=classes)  # actually the fan out
        self.classifier = nn.Sequential(
            nn.Conv2D(self.embedding_size, classes, 1, bias_attr=False, weight_attr=_init(weight)),
            nn.BatchNorm2D(classes),  # PyTorch's default momentum and epsilon, equal to Paddle's
            nn.AdaptiveAvgPool2D(1),
            nn.Flatten(),
        )
