"""What is augmented on the device: stripes from given chances, and mixup."""

import numpy as np
import paddle
import pytest

from pannsdist.contracts.feature_augmentation import AUGMENT_NOISE_SIZE, mixup, spec_augment_mask


def augment_noise(rows, seed=0):
    return paddle.to_tensor(np.random.default_rng(seed).random((rows, AUGMENT_NOISE_SIZE), dtype=np.float32))


@pytest.mark.parametrize(
    ("frames", "bins", "time_limit", "bins_limit"),
    [(1001, 64, 64, 8), (200, 128, 64, 16), (40, 32, 40, 4), (1, 1, 1, 1), (20, 7, 20, 1)],
)
def test_stripes_are_two_of_each_axis_and_narrower_than_their_limit(frames, bins, time_limit, bins_limit):
    kept = spec_augment_mask(augment_noise(1000), frames, bins).numpy()
    assert kept.shape == (1000, 1, frames, bins)
    assert set(np.unique(kept)) <= {0.0, 1.0}
    lost_frames, lost_bins = (1 - kept).min(axis=3)[:, 0], (1 - kept).min(axis=2)[:, 0]
    for lost, length, limit in ((lost_frames, frames, time_limit), (lost_bins, bins, bins_limit)):
        widths = lost.sum(axis=1)
        if lost.shape[1] > 2 * limit:
            begins = (np.diff(np.pad(lost, ((0, 0), (1, 0)))) == 1).sum(axis=1)
            assert begins.max() == (2 if limit > 1 else 0)
            assert widths.max() <= 2 * (limit - 1)
            assert 0.85 * (limit - 1) <= widths.mean() <= 1.05 * (limit - 1)  # two, that may overlap
        assert lost.shape == (1000, length)


def test_stripes_lie_anywhere_but_on_the_very_last_as_in_the_original():
    lost = 1 - spec_augment_mask(augment_noise(4000), 100, 16).numpy()[:, 0]
    for axis in (2, 1):
        met = lost.min(axis=axis).any(axis=0)
        assert met[:-1].all()
        assert not met[-1]


def test_the_same_chances_give_the_same_stripes_in_any_company():
    whole = spec_augment_mask(augment_noise(6), 200, 64).numpy()
    np.testing.assert_array_equal(spec_augment_mask(augment_noise(6)[2:4], 200, 64).numpy(), whole[2:4])
    assert len({row.tobytes() for row in whole}) == 6


def test_pairs_are_mixed_as_in_the_original():
    """The original gives 2B rows with a factor for each: even rows lambda, odd rows 1 - lambda, added in pairs."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(8, 1, 5, 3)).astype(np.float32)
    factors = np.repeat(generator.beta(1.0, 1.0, 4), 2)
    factors[1::2] = 1 - factors[1::2]
    expected = np.add.reduceat(rows * factors[:, None, None, None], np.arange(0, 8, 2), axis=0)
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    partners, mix_weights = paddle.to_tensor(np.arange(4, 8)), paddle.to_tensor(factors[::2].astype(np.float32))
    np.testing.assert_allclose(mixup(paddle.to_tensor(rows[order]), partners, mix_weights).numpy(), expected, atol=1e-6)


def test_mixup_is_linear_and_a_whole_share_changes_nothing():
    rows = paddle.to_tensor(np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32))
    partners = paddle.to_tensor(np.array([1, 2, 2]))
    made = mixup(rows, partners, paddle.to_tensor(np.array([0.25, 0.0, 1.0], np.float32))).numpy()
    given = rows.numpy()
    np.testing.assert_allclose(made, [0.25 * given[0] + 0.75 * given[1], given[2], given[2]], atol=1e-6)
    np.testing.assert_array_equal(made[2], given[2])


def test_mixup_keeps_the_type_of_the_image():
    rows = paddle.ones([2, 3]).astype("bfloat16")
    mix_weights = paddle.to_tensor(np.array([0.5, 0.5], np.float32))
    assert mixup(rows, paddle.to_tensor(np.array([1, 0])), mix_weights).dtype == paddle.bfloat16
