"""EfficientAT's networks with an answer for each frame; see `FrameHead` for the last row, which is that of the clip.

Axes: B batch, T frames of the features, T' frames of the output, F bins, E embedding, C classes.
"""

from __future__ import annotations

import paddle
from paddle import nn

from pannsdist.contracts.frame_head import FrameHead, of_length
from pannsdist_efficientat.network import HIDDEN, STRIDES, MobileNetTrunk, eighths, linear


class _ByFrame(MobileNetTrunk):
    """The convolutions, whose output is averaged over the bins of each frame."""

    def __init__(self, width: float, strides: tuple[int, int, int, int], frame_stride: int) -> None:
        super().__init__(width, strides, frame_stride)
        self._frame_stride = frame_stride

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        """Features (B, 1, T, F) -> logits (B, T' + 1, C)."""
        frames = self.image(features).mean(axis=2).transpose([0, 2, 1])
        return self.classifier(of_length(frames, features, self._frame_stride))


class MobileNetV3ByFrame(_ByFrame):
    """MobileNetV3's head at each frame: a linear layer, then the head of frames."""

    def __init__(self, width: float, head: tuple[int, str], dropout: float, frame_stride: int) -> None:
        super().__init__(width, STRIDES, frame_stride)
        hidden = eighths(HIDDEN * width)
        # Layers 0 and 1 pool and flatten in the network that answers by clip, so that the indices are the published.
        self.classifier = nn.Sequential(
            nn.Identity(),
            nn.Identity(),
            linear(self.embedding_size, hidden),
            nn.Hardswish(),
            nn.Dropout(dropout),
            FrameHead(hidden, *head),
        )


class FullyConvolutionalByFrame(_ByFrame):
    """The head of frames on the output of the last convolution."""

    def __init__(
        self, width: float, head: tuple[int, str], strides: tuple[int, int, int, int], frame_stride: int
    ) -> None:
        super().__init__(width, strides, frame_stride)
        self.classifier = FrameHead(self.embedding_size, *head)
