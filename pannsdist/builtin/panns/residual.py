"""Residual blocks and stages of ResNet (2D), Res1dNet and DaiNet (1D)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import paddle
import paddle.nn.functional as F
from paddle import nn

from pannsdist.builtin.panns.blocks import convolution, line_convolution, norm_after

INNER_DROPOUT = 0.1


class Residual(nn.Layer):
    """Residual block: pooling, convolutions with batch norm and ReLU, plus a shortcut: `conv1`, `bn1` ...

    The last batch norm is initialised to 0, so that the block starts as its shortcut.
    """

    def __init__(
        self, convolutions: Sequence[nn.Layer], shrink: nn.Layer, shortcut: nn.Layer, dropout: float = INNER_DROPOUT
    ) -> None:
        super().__init__()
        self._depth, self._dropout = len(convolutions), dropout
        for number, convolved in enumerate(convolutions, start=1):
            self.add_sublayer(f"conv{number}", convolved)
            self.add_sublayer(f"bn{number}", norm_after(convolved, scale=0.0 if number == self._depth else 1.0))
        self.shrink = shrink
        self.downsample = shortcut

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, I, T, F) -> (B, O, T / stride, F / stride), or the same without F."""
        return self._added(image)

    def _added(self, image: paddle.Tensor) -> paddle.Tensor:
        found = self.shrink(image)
        for number in range(1, self._depth):
            found = F.relu(self._convolved(number, found))
        found = F.dropout(found, self._dropout, training=self.training)
        return F.relu(self._convolved(self._depth, found) + self._shortcut(image))

    def _convolved(self, number: int, image: paddle.Tensor) -> paddle.Tensor:
        return getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(image))

    def _shortcut(self, image: paddle.Tensor) -> paddle.Tensor:
        return self.downsample(image)


class DaiBlock(Residual):
    """Four convolutions of 3 samples beside a shortcut, then maximum pooling: (B, I, T) -> (B, O, T / pool) (DaiNet).

    The published weights contain the shortcut's convolution even where it is unused because the widths are equal.
    """

    def __init__(self, inputs: int, outputs: int, pool: int) -> None:
        convolutions = [line_convolution(inputs if n == 0 else outputs, outputs, 3) for n in range(4)]
        super().__init__(convolutions, nn.Identity(), line_convolution(inputs, outputs, 1), dropout=0.0)
        self.bn_downsample = norm_after(self.downsample)
        self._is_wider = inputs != outputs
        self.pool = nn.MaxPool1D(pool) if pool != 1 else nn.Identity()
        if not self._is_wider:
            freeze_unused(self.downsample)
            freeze_unused(self.bn_downsample)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, I, T) -> (B, O, T / pool)."""
        return self.pool(self._added(image))

    def _shortcut(self, image: paddle.Tensor) -> paddle.Tensor:
        return self.bn_downsample(self.downsample(image)) if self._is_wider else image


def freeze_unused(layer: nn.Layer) -> None:
    """Freeze a layer that is unused in forward: DataParallel would wait for its gradients."""
    for parameter in layer.parameters():
        parameter.stop_gradient = True


@dataclass(frozen=True)
class Kind:
    """Type of residual block: its convolutions, shortcut, pooling, stride and channel expansion."""

    convolutions: Callable[[int, int], list[nn.Layer]]
    shortcut: Callable[[int, int], nn.Layer]
    shrink: Callable[[int], nn.Layer]
    shortcut_shrink: Callable[[int], nn.Layer]
    stride: int
    expansion: int = 1

    def block(self, inputs: int, width: int, stride: int) -> Residual:
        """One block from `inputs` to `width * expansion` channels, downsampled by `stride`."""
        outputs = width * self.expansion
        shrink = self.shrink(stride) if stride != 1 else nn.Identity()
        shortcut: nn.Layer = nn.Identity()
        if stride != 1 or inputs != outputs:
            shorter = self.shortcut(inputs, outputs)
            pools = [self.shortcut_shrink(stride)] if stride != 1 else []
            shortcut = nn.Sequential(*pools, shorter, norm_after(shorter))
        return Residual(self.convolutions(inputs, width), shrink, shortcut)


BASIC = Kind(
    convolutions=lambda inputs, width: [convolution(inputs, width, 3), convolution(width, width, 3)],
    shortcut=lambda inputs, outputs: convolution(inputs, outputs, 1),
    shrink=nn.AvgPool2D,
    shortcut_shrink=nn.AvgPool2D,
    stride=2,
)
BOTTLENECK = Kind(
    convolutions=lambda inputs, width: [
        convolution(inputs, width, 1),
        convolution(width, width, 3),
        convolution(width, 4 * width, 1),
    ],
    shortcut=lambda inputs, outputs: convolution(inputs, outputs, 1),
    shrink=nn.AvgPool2D,
    shortcut_shrink=nn.AvgPool2D,
    stride=2,
    expansion=4,
)
LINE = Kind(
    convolutions=lambda inputs, width: [
        line_convolution(inputs, width, 3),
        line_convolution(width, width, 3, dilation=2),
    ],
    shortcut=lambda inputs, outputs: line_convolution(inputs, outputs, 1),
    shrink=nn.MaxPool1D,
    shortcut_shrink=nn.AvgPool1D,
    stride=4,
)


class ResNet(nn.Layer):
    """Stages `layer1`, `layer2` ... of residual blocks on 64 channels; each but the first downsamples once."""

    def __init__(self, kind: Kind, widths: Sequence[int], depths: Sequence[int], last: nn.Layer | None = None) -> None:
        super().__init__()
        inputs, self._stages = 64, len(widths)
        for number, (width, depth) in enumerate(zip(widths, depths, strict=True), start=1):
            stride = kind.stride if number > 1 else 1
            outputs = width * kind.expansion
            rest = [kind.block(outputs, width, 1) for _ in range(depth - 1)]
            self.add_sublayer(f"layer{number}", nn.Sequential(kind.block(inputs, width, stride), *rest))
            inputs = outputs
        self.last = last or nn.Identity()

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, 64, T, F) -> (B, O, T / strides, F / strides), or the same without F."""
        for number in range(1, self._stages + 1):
            image = getattr(self, f"layer{number}")(image)
        return self.last(image)
