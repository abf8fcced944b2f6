"""EfficientSED's network: MobileNetV3-Large of variable width that keeps its frames, with the published names.

Facts from T. Morocutti et al., EUSIPCO 2025 (arXiv 2503.11373); the table of blocks is that of A. Howard et al.,
"Searching for MobileNetV3", ICCV 2019. Axes: B batch, T frames of the features, T' frames of the output, F bins,
K channels, E embedding, C classes.
"""

from __future__ import annotations

from typing import NamedTuple

import paddle
from paddle import nn

from pannsdist.contracts.frame_head import FrameHead, of_length
from pannsdist.contracts.layers import SpatialMean

FIRST, LAST_FACTOR = 16, 6


class Block(NamedTuple):
    """A row of the table: channels are for width 1, strides are those of bins and of frames."""

    kernel: int
    expanded: int
    out: int
    squeezed: bool
    activation: type[nn.Layer]
    strides: tuple[int, int] = (1, 1)


RE, HS = nn.ReLU, nn.Hardswish
BLOCKS = (
    Block(3, 16, 16, False, RE),
    Block(3, 64, 24, False, RE, (2, 2)),
    Block(3, 72, 24, False, RE, (2, 1)),
    Block(5, 72, 40, True, RE),
    Block(5, 120, 40, True, RE),
    Block(5, 120, 40, True, RE, (2, 1)),
    Block(3, 240, 80, False, HS),
    Block(3, 200, 80, False, HS, (2, 1)),
    Block(3, 184, 80, False, HS),
    Block(3, 184, 80, False, HS),
    Block(3, 480, 112, True, HS, (2, 1)),
    Block(3, 672, 112, True, HS),
    Block(5, 672, 160, True, HS),
    Block(5, 960, 160, True, HS),
    Block(5, 960, 160, True, HS, (2, 1)),
)


def eighths(channels: float) -> int:
    """The multiple of 8 nearest to `channels`, at least 8, and never below 0.9 of it (MobileNetV3's rule)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def convolution(
    sizes: tuple[int, int], kernel: int = 1, strides: tuple[int, int] = (1, 1), groups: int = 1
) -> list[nn.Layer]:
    """Convolution without bias and with same padding, then batch norm; sizes are (in, out) channels."""
    fan_out = sizes[1] * kernel * kernel // groups
    weight = paddle.ParamAttr(initializer=nn.initializer.KaimingNormal(fan_in=fan_out))
    padding = kernel // 2
    conv = nn.Conv2D(*sizes, kernel, strides, padding=padding, groups=groups, bias_attr=False, weight_attr=weight)
    # The published momentum 0.01 is the weight of the new value; Paddle's momentum is the weight of the old one.
    return [conv, nn.BatchNorm2D(sizes[1], momentum=0.99, epsilon=1e-3)]


class SqueezeExcitation(nn.Layer):
    """Scales channels by gates computed from the channel means: (B, K, F, T), same size."""

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
    """Holds the squeeze and excitation under its published name, `conc_se_layers.0`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conc_se_layers = nn.LayerList([SqueezeExcitation(channels)])

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, K, F, T) -> (B, K, F, T)."""
        return self.conc_se_layers[0](image)


class InvertedResidual(nn.Layer):
    """Optional expansion, depthwise convolution, optional gate, projection; with a residual where sizes allow it."""

    def __init__(self, inputs: int, row: Block, width: float) -> None:
        super().__init__()
        expanded, outputs = eighths(row.expanded * width), eighths(row.out * width)
        self.residual = row.strides == (1, 1) and inputs == outputs
        steps: list[nn.Layer] = []
        if expanded != inputs:
            steps.append(nn.Sequential(*convolution((inputs, expanded)), row.activation()))
        depthwise = convolution((expanded, expanded), row.kernel, row.strides, groups=expanded)
        steps.append(nn.Sequential(*depthwise, row.activation()))
        if row.squeezed:
            steps.append(ConcurrentSqueezeExcitation(expanded))
        steps.append(nn.Sequential(*convolution((expanded, outputs))))
        self.block = nn.Sequential(*steps)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, K, F, T) -> (B, K', F / stride, T / stride), rounded up."""
        result = self.block(image)
        return result + image if self.residual else result


class Trunk(nn.Layer):
    """(B, K, F, T) -> (B, E, F', T'): `features`, as the published files name it."""

    def __init__(self, width: float) -> None:
        super().__init__()
        channels = eighths(FIRST * width)
        stages: list[nn.Layer] = [nn.Sequential(*convolution((1, channels), 3, (2, 2)), nn.Hardswish())]
        for row in BLOCKS:
            stages.append(InvertedResidual(channels, row, width))
            channels = eighths(row.out * width)
        self.size = LAST_FACTOR * channels
        stages.append(nn.Sequential(*convolution((channels, self.size)), nn.Hardswish()))
        self.features = nn.Sequential(*stages)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, 1, F, T) -> (B, E, F', T')."""
        return self.features(image)


class _MobileNet(nn.Layer):
    """`model` is the trunk; subclasses define `strong_head`, as the published files name that of frames."""

    not_needed = ("weak_head",)

    def __init__(self, width: float) -> None:
        super().__init__()
        self.model = Trunk(width)

    def frames(self, features: paddle.Tensor) -> paddle.Tensor:
        """Features (B, 1, T, F) -> embeddings of frames (B, T', E), of the mean of bins where more than one is left."""
        return self.model(features.transpose([0, 1, 3, 2])).mean(axis=2).transpose([0, 2, 1])

    def embed(self, features: paddle.Tensor) -> paddle.Tensor:
        """Features (B, 1, T, F) -> the mean over frames (B, E)."""
        return self.frames(features).mean(axis=1)


class ClipMobileNet(_MobileNet):
    """A linear layer on the mean over frames, as the original is trained on labels of clips."""

    def __init__(self, width: float, classes: int) -> None:
        super().__init__(width)
        self.strong_head = nn.Linear(self.model.size, classes)

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        """Features (B, 1, T, F) -> logits (B, C)."""
        return self.strong_head(self.embed(features))


class FrameMobileNet(_MobileNet):
    """A linear layer at each frame, and the clip pooled from them."""

    def __init__(self, width: float, classes: int, pooling: str, frame_stride: int) -> None:
        super().__init__(width)
        self._frame_stride = frame_stride
        self.strong_head = FrameHead(self.model.size, classes, pooling)

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        """Features (B, 1, T, F) -> logits (B, T' + 1, C)."""
        return self.strong_head(of_length(self.frames(features), features, self._frame_stride))
