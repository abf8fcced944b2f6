"""Dropout of the kernels: its probability, scale, gradient and random state; the mean of channels."""

import numpy as np
import paddle
import pytest
from layers import IS_KNOWN, assert_close, noise, passes, twins
from paddle import nn

from pannsdist.contracts.layers import SpatialMean
from pannsdist.kernels import elementwise
from pannsdist.kernels.library import loaded

pytestmark = pytest.mark.skipif(not IS_KNOWN, reason="Paddle carries another oneDNN, which is not used")


def after(layer, given, seed=0):
    paddle.seed(seed)
    return layer(paddle.to_tensor(given)).numpy()


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.9])
def test_kept_elements_are_scaled_and_as_many_as_said(p):
    _, layer = twins(nn.Dropout(p))
    output = after(layer, np.ones((40, 50, 7, 9), np.float32))
    assert set(np.unique(output)) == {np.float32(0), np.float32(1 / (1 - p))}
    assert abs((output == 0).mean() - p) < 0.006
    rows = output.reshape(40, -1)
    assert len({row.tobytes() for row in rows}) == 40


def test_the_gradient_has_the_same_mask():
    _, layer = twins(nn.Dropout(0.3))
    given = paddle.to_tensor(noise(5, 6, 7), stop_gradient=False)
    output = layer(given)
    output.sum().backward()
    np.testing.assert_allclose(output.numpy(), given.numpy() * given.grad.numpy(), rtol=1e-6)


def test_the_mask_depends_on_the_seed_alone():
    _, layer = twins(nn.Dropout(0.5))
    given = noise(3, 100)
    np.testing.assert_array_equal(after(layer, given, 1), after(layer, given, 1))
    assert (after(layer, given, 1) != after(layer, given, 2)).any()
    paddle.seed(1)
    first, second = (layer(paddle.to_tensor(given)).numpy() for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize("layer", [nn.Dropout(0.0), nn.Dropout(1.0), nn.Dropout(0.5).eval()], ids=str)
def test_what_needs_no_mask_is_left_to_paddle(layer):
    own, other = twins(layer)
    given = noise(2, 3)
    np.testing.assert_array_equal(after(own, given), after(other, given))


def test_other_kinds_of_dropout_are_left_to_paddle():
    for layer in (nn.Dropout(0.5, axis=0), nn.Dropout(0.5, mode="downscale_in_infer"), nn.Dropout2D(0.5)):
        with pytest.raises(AssertionError):
            twins(layer)


def test_a_view_is_multiplied_as_what_it_is():
    given = paddle.to_tensor(noise(4, 6)).transpose([1, 0])
    other = paddle.to_tensor(noise(6, 4, seed=1))
    found = elementwise.product(loaded(), given, other)
    np.testing.assert_array_equal(found.numpy(), given.numpy() * other.numpy())


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 7, 1, 1), (3, 1, 33, 2)])
def test_the_mean_of_channels_and_its_gradient_are_those_of_paddle(shape):
    own, other = twins(SpatialMean())
    assert_close(passes(own, noise(*shape)), passes(other, noise(*shape)), 1e-6)
