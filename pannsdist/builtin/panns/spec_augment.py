"""What PANNs do to an image in training, after the first batch norm: stripes are left out, clips are mixed."""

from __future__ import annotations

from dataclasses import dataclass

import paddle
from paddle import nn

from pannsdist.contracts import AUGMENT_NOISE_SIZE, mixup, spec_augment_mask


@dataclass(frozen=True)
class AugmentInputs:
    """The random numbers of a batch: see `ModelPlugin.build`. None: nothing of it is wanted."""

    augment_noise: paddle.Tensor | None = None
    partners: paddle.Tensor | None = None
    mix_weights: paddle.Tensor | None = None


class Drawn(nn.Layer):
    """A part of a network that hears the draws beside the image."""


class SpecAugment(Drawn):
    """Two stripes of up to 63 frames and two of less than an eighth of the bins become 0, anew for each sample.

    It stands after the first batch norm, where 0 is the mean. Where no chances are given in training they are drawn
    from Paddle's generator; in eval mode it then does nothing. In a clip of less than 64 frames a stripe is shorter
    than the clip, where the original fails.
    """

    def forward(self, image: paddle.Tensor, augment_inputs: AugmentInputs | None = None) -> paddle.Tensor:
        """(R, 1, T, F) -> the same with stripes of zeros."""
        rows, _, frames, bins = image.shape
        augment_noise = None if augment_inputs is None else augment_inputs.augment_noise
        if augment_noise is None:
            if not self.training:
                return image
            augment_noise = paddle.rand([rows, AUGMENT_NOISE_SIZE], dtype="float32")
        return image * spec_augment_mask(augment_noise, frames, bins).astype(image.dtype)


class Mixup(Drawn):
    """Rows become clips, mixed with their partners; without partners it does nothing."""

    def forward(self, image: paddle.Tensor, augment_inputs: AugmentInputs | None = None) -> paddle.Tensor:
        """(R, ...) -> (B, ...)."""
        if augment_inputs is None or augment_inputs.partners is None:
            return image
        return mixup(image, augment_inputs.partners, augment_inputs.mix_weights)
