"""Keeps the time axis of a network of PANNs: pooling of frames beyond a total factor becomes a sliding mean.

Axes: B batch, T frames, F bins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import paddle
from paddle import nn

from pannsdist.builtin.panns.residual import Residual


class SlidingPool(nn.Layer):
    """Average pooling of bins, and the mean of two frames `dilation` apart: (B, C, T, F) -> (B, C, T, F / bins).

    The two frames lie around the frame where they can, so that what a frame says is of the sound at its place.
    """

    def __init__(self, bins: int, dilation: int) -> None:
        super().__init__()
        self.bins = nn.AvgPool2D((1, bins))
        self._before, self._after = dilation // 2, dilation - dilation // 2

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, C, T, F) -> (B, C, T, F / bins); beyond the edges the first and last frames are repeated."""
        image = self.bins(image)
        later = paddle.concat([image[:, :, self._after :], image[:, :, -self._after :]], axis=2)
        earlier = image
        if self._before:
            earlier = paddle.concat([image[:, :, : self._before], image[:, :, : -self._before]], axis=2)
        return (earlier + later) / 2


def keep_frames(network: nn.Layer, frame_stride: int, branches: Sequence[Sequence[str]], parts: Sequence[str]) -> int:
    """Let a network of poolings by 2 pool its frames by `frame_stride` alone, and its bins as before.

    Where frames are no longer pooled, what comes later is spread over twice as many of them ("a trous"): but for edges,
    an output is the one that the pooled network has at another shift of its input, and trained weights keep their
    meaning. `branches` are the layers of each branch, and `parts` those that follow, by name, in the order in which
    they run. Returns how many of the frames that come to the first pooling by 2 an output depends on to either side.
    """
    walk = _Walk(frame_stride)
    walk.beside(network, branches)
    walk.row(network, parts)
    return walk.reach


class _Walk:
    """The pooling so far, in the order in which layers run, which is that of their definition but for `Residual`."""

    def __init__(self, frame_stride: int) -> None:
        self._left, self._dilation, self._stride = frame_stride, 1, 1
        self.reach = 0

    def through(self, layer: nn.Layer) -> None:
        """Exchange the poolings and convolutions below a layer."""
        names = list(layer._sub_layers)
        if isinstance(layer, Residual):
            # The shortcut runs on what the block gets; its convolutions are 1x1, so that their dilation is nothing.
            self._beside(layer.downsample)
            names = ["shrink", *(name for name in names if name not in ("shrink", "downsample"))]
        self.row(layer, names)

    def row(self, layer: nn.Layer, names: Iterable[str]) -> None:
        """Exchange some layers of a layer, one after the other, and what is below them."""
        for name in names:
            child = layer._sub_layers[name]
            exchanged = self._exchanged(child)
            if exchanged is child:
                self.through(child)
            else:
                layer._sub_layers[name] = exchanged

    def beside(self, layer: nn.Layer, branches: Iterable[Iterable[str]]) -> None:
        """Rows of layers that have the same input, and pool alike."""
        before, reach = vars(self).copy(), 0
        for names in branches:
            vars(self).update(before)
            self.row(layer, names)
            reach = max(reach, self.reach)
        self.reach = reach

    def _beside(self, shortcut: nn.Layer) -> None:
        before = vars(self).copy()
        self.through(shortcut)
        vars(self).update(before)

    def _exchanged(self, layer: nn.Layer) -> nn.Layer:
        if isinstance(layer, nn.AvgPool2D):
            return self._pool(layer)
        if isinstance(layer, nn.Conv2D) and layer.weight.shape[2] > 1:
            self.reach += layer.weight.shape[2] // 2 * self._dilation * self._stride
            return self._convolution(layer) if self._dilation > 1 else layer
        return layer

    def _pool(self, layer: nn.AvgPool2D) -> nn.Layer:
        frames, bins = layer.ksize if isinstance(layer.ksize, tuple | list) else (layer.ksize, layer.ksize)
        if frames == 1:
            return layer
        if frames != 2:
            raise ValueError(f"pooling by {frames} frames")
        self.reach += self._dilation * self._stride
        if self._left > 1:
            self._left //= 2
            self._stride *= 2
            return layer
        pool = SlidingPool(bins, self._dilation)
        self._dilation *= 2
        return pool

    def _convolution(self, layer: nn.Conv2D) -> nn.Conv2D:
        outputs, inputs, kernel, _ = layer.weight.shape
        groups, half = layer._groups, kernel // 2
        padding, dilation = [half * self._dilation, half], (self._dilation, 1)
        wider = nn.Conv2D(inputs * groups, outputs, kernel, 1, padding, dilation, groups=groups, bias_attr=False)
        wider.weight = layer.weight
        return wider
