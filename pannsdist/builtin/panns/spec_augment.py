"""SpecAugment: stripes of time and of frequency are left out, in training only (Park et al. 2019)."""

from __future__ import annotations

import paddle
from paddle import nn

STRIPES = 2
TIME_FRAMES = 64
BINS_SHARE = 8
"""Stripes are narrower than an eighth of the bins: 4 of 32, 8 of 64, 16 of 128, as PANNs were trained."""


class SpecAugment(nn.Layer):
    """Two stripes of up to 63 frames and two of less than an eighth of the bins become 0, anew for each sample.

    It stands after the first batch norm, where 0 is the mean. Drawn from Paddle's generator, so that a run's seed
    decides it. In eval mode it does nothing. In a clip of less than 64 frames a stripe is shorter than the clip, where
    the original fails.
    """

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """(B, 1, T, F) -> the same with stripes of zeros."""
        if not self.training:
            return image
        batch, _, frames, bins = image.shape
        in_time = kept(batch, frames, min(TIME_FRAMES, frames)).reshape([batch, 1, frames, 1])
        in_frequency = kept(batch, bins, max(bins // BINS_SHARE, 1)).reshape([batch, 1, 1, bins])
        return image * (in_time * in_frequency).astype(image.dtype)


def kept(batch: int, length: int, limit: int) -> paddle.Tensor:
    """1 where nothing is left out, 0 inside the stripes, whose widths are whole numbers below `limit`: (B, length)."""
    width = paddle.floor(paddle.rand([batch, STRIPES, 1], dtype="float32") * limit)
    start = paddle.floor(paddle.rand([batch, STRIPES, 1], dtype="float32") * (length - width))
    place = paddle.arange(length, dtype="float32").reshape([1, 1, length])
    inside = paddle.logical_and(place >= start, place < start + width)
    return 1.0 - inside.astype("float32").max(axis=1)
