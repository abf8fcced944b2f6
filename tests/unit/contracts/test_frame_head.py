"""The head of frames: its two poolings, its counts of frames, and the padding to whole frames."""

import numpy as np
import paddle
import pytest

from pannsdist.contracts.frame_head import FrameHead, of_length
from pannsdist.contracts.network import padded_to_frames


def probabilities(pooling):
    """Probabilities of frames (T, C) and of the clip (C,) of random embeddings."""
    paddle.seed(0)
    head = FrameHead(8, 3, pooling)
    with paddle.no_grad():
        logits = head(paddle.to_tensor(np.random.default_rng(0).normal(0, 3, (1, 20, 8)).astype("float32"))).numpy()[0]
    found = 1 / (1 + np.exp(-logits.astype("float64")))
    return found[:-1], found[-1]


def test_linear_softmax_is_the_mean_of_frames_weighted_by_their_own_probability():
    frames, clip = probabilities("linear_softmax")
    np.testing.assert_allclose(clip, (frames**2).sum(axis=0) / frames.sum(axis=0), rtol=1e-5)


def test_attention_gives_a_probability_between_those_of_the_frames():
    frames, clip = probabilities("attention")
    assert ((frames.min(axis=0) < clip) & (clip < frames.max(axis=0))).all()


def test_an_unknown_pooling_is_refused():
    with pytest.raises(ValueError, match="known: attention, linear_softmax"):
        FrameHead(8, 3, "mean")


@pytest.mark.parametrize("stride", [2, 4, 32])
def test_whole_frames_are_counted_alike_whether_a_front_end_centres_its_windows_or_not(stride):
    for frames in (1, 2, 5):
        for features in (frames * stride, frames * stride + 1):
            image = paddle.zeros([1, 1, features, 4])
            for given in range(max(1, frames - 1), frames + 2):
                assert of_length(paddle.rand([1, given, 6]), image, stride).shape == [1, frames, 6]


def test_the_last_frame_is_repeated_where_one_is_missing_and_more_are_an_error():
    embeddings = paddle.to_tensor(np.arange(6, dtype="float32").reshape(1, 3, 2))
    found = of_length(embeddings, paddle.zeros([1, 1, 16, 4]), 4).numpy()
    np.testing.assert_array_equal(found[0, 2:], [[4, 5], [4, 5]])
    with pytest.raises(ValueError, match="3 frames of 20 features"):
        of_length(embeddings, paddle.zeros([1, 1, 20, 4]), 4)


def test_a_sound_is_padded_to_whole_frames_with_silence():
    for samples, length in ((1, 10), (9, 10), (10, 10), (11, 20)):
        found = padded_to_frames(paddle.ones([2, samples]), 10).numpy()
        assert found.shape == (2, length)
        assert found[:, :samples].all()
        assert not found[:, samples:].any()
