"""Augmentation of features on the device: SpecAugment masks and mixup. All random numbers come with the batch.

Axes: R rows, B clips of the step (the first of the rows), T frames, F bins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import paddle

AUGMENT_NOISE_SIZE = 8
"""Random numbers per row of a training batch: position and width of two masks on each axis."""
MASKS = 2
TIME_FRAMES = 64
BINS_DIVISOR = 8
"""Masks are narrower than an eighth of the bins: 4 of 32, 8 of 64, 16 of 128, as PANNs were trained."""


def spec_augment_mask(augment_noise: paddle.Tensor, frames: int, bins: int) -> paddle.Tensor:
    """Augment noise (R, AUGMENT_NOISE_SIZE) in [0, 1) -> mask (R, 1, T, F) float32: 0 if masked, else 1.

    Two time masks of up to 63 frames (shorter than the clip) and two frequency masks of less than an eighth of the
    bins. Source: SpecAugment (Park et al. 2019, arXiv 1904.08779), with the widths of PANNs.
    """
    rows = augment_noise.shape[0]
    drawn = augment_noise.reshape([rows, 2, MASKS, 2])  # axis, mask, width and start
    in_time = _kept(drawn[:, 0], frames, min(TIME_FRAMES, frames)).reshape([rows, 1, frames, 1])
    in_frequency = _kept(drawn[:, 1], bins, max(bins // BINS_DIVISOR, 1)).reshape([rows, 1, 1, bins])
    return in_time * in_frequency


def _kept(drawn: paddle.Tensor, length: int, limit: int) -> paddle.Tensor:
    """(R, MASKS, 2) -> (R, length), 0 if masked; widths are integers below `limit`."""
    import paddle

    width = paddle.floor(drawn[:, :, :1] * limit)
    start = paddle.floor(drawn[:, :, 1:] * (length - width))
    place = paddle.arange(length, dtype="float32").reshape([1, 1, length])
    inside = paddle.logical_and(place >= start, place < start + width)
    return 1.0 - inside.astype("float32").max(axis=1)


def mixup(rows: paddle.Tensor, partners: paddle.Tensor, mix_weights: paddle.Tensor) -> paddle.Tensor:
    """(R, ...) -> (B, ...): `mix_weights * rows[:B] + (1 - mix_weights) * rows[partners]`.

    `partners` (B) int64 are row indices, `mix_weights` (B) float32. Computed in float32, returned in the rows' type.
    Source: mixup (Zhang et al. 2018, arXiv 1710.09412).
    """
    import paddle

    exact = rows.astype("float32")
    mix_weight = mix_weights.reshape([-1] + [1] * (rows.ndim - 1))
    other = paddle.index_select(exact, partners, axis=0)
    return (exact[: mix_weights.shape[0]] * mix_weight + other * (1.0 - mix_weight)).astype(rows.dtype)
