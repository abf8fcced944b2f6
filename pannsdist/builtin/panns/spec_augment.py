"""What PANNs do to an image in training, after the first batch norm: stripes are left out, clips are mixed."""

from __future__ import annotations

from dataclasses import dataclass

import paddle
from paddle import nn

from pannsdist.contracts import CHANCES, kept_stripes, mixed


@dataclass(frozen=True)
class Draws:
    """The random numbers of a batch: see `ModelPlugin.build`. None: nothing of it is wanted."""

    chances: paddle.Tensor | None = None
    partners: paddle.Tensor | None = None
    shares: paddle.Tensor | None = None


class Drawn(nn.Layer):
    """A part of a network that hears the draws beside the image."""


class SpecAugment(Drawn):
    """Two stripes of up to 63 frames and two of less than an eighth of the bins become 0, anew for each sample.

    It stands after the first batch norm, where 0 is the mean. Where no chances are given in training they are drawn
    from Paddle's generator; in eval mode it then does nothing. In a clip of less than 64 frames a stripe is shorter
    than the clip, where the original fails.
    """

    def forward(self, image: paddle.Tensor, draws: Draws | None = None) -> paddle.Tensor:
        """(R, 1, T, F) -> the same with stripes of zeros."""
        rows, _, frames, bins = image.shape
        chances = None if draws is None else draws.chances
        if chances is None:
            if not self.training:
                return image
            chances = paddle.rand([rows, CHANCES], dtype="float32")
        return image * kept_stripes(chances, frames, bins).astype(image.dtype)


class Mixup(Drawn):
    """Rows become clips, mixed with their partners; without partners it does nothing."""

    def forward(self, image: paddle.Tensor, draws: Draws | None = None) -> paddle.Tensor:
        """(R, ...) -> (B, ...)."""
        if draws is None or draws.partners is None:
            return image
        return mixed(image, draws.partners, draws.shares)
