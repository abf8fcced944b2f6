"""Augmentation inside PANNs after the first batch norm: SpecAugment and mixup."""

from __future__ import annotations

from dataclasses import dataclass

import paddle
from paddle import nn

from pannsdist.contracts import AUGMENT_NOISE_SIZE, mixup, spec_augment_mask


@dataclass(frozen=True)
class AugmentInputs:
    """Augmentation inputs of a batch, see `ModelPlugin.build`; None if disabled."""

    augment_noise: paddle.Tensor | None = None
    partners: paddle.Tensor | None = None
    mix_weights: paddle.Tensor | None = None


class AugmentLayer(nn.Layer):
    """A sub-layer that receives `AugmentInputs` in addition to the image."""


class SpecAugment(AugmentLayer):
    """SpecAugment: two time masks of up to 63 frames and two frequency masks of less than an eighth of the bins.

    Applied after the first batch norm, where 0 is the mean. Without augment noise, it is drawn from Paddle's generator
    in training, and nothing is masked in eval mode. In clips of less than 64 frames, time masks are shorter than the
    clip, where the original fails.
    """

    def forward(self, image: paddle.Tensor, augment_inputs: AugmentInputs | None = None) -> paddle.Tensor:
        """(R, 1, T, F) -> (R, 1, T, F), masked with zeros."""
        rows, _, frames, bins = image.shape
        augment_noise = None if augment_inputs is None else augment_inputs.augment_noise
        if augment_noise is None:
            if not self.training:
                return image
            augment_noise = paddle.rand([rows, AUGMENT_NOISE_SIZE], dtype="float32")
        return image * spec_augment_mask(augment_noise, frames, bins).astype(image.dtype)


class Mixup(AugmentLayer):
    """Mix rows with their partners; identity without partners."""

    def forward(self, image: paddle.Tensor, augment_inputs: AugmentInputs | None = None) -> paddle.Tensor:
        """(R, ...) -> (B, ...)."""
        if augment_inputs is None or augment_inputs.partners is None:
            return image
        return mixup(image, augment_inputs.partners, augment_inputs.mix_weights)
