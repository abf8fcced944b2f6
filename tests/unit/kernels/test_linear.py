"""Linear layers of the kernels, with operands in bfloat16, against Paddle's own in float32."""

import numpy as np
import paddle
import pytest
from layers import IS_KNOWN, TOLERANCE, assert_close, noise, passes, twins
from paddle import nn

from pannsdist.kernels import linear
from pannsdist.kernels.choice import BFLOAT16
from pannsdist.kernels.library import Refused, loaded
from pannsdist.kernels.replacing import replace

pytestmark = pytest.mark.skipif(
    not IS_KNOWN or loaded().instructions & BFLOAT16 != BFLOAT16,
    reason="Paddle carries another oneDNN, or this processor has no bfloat16",
)


@pytest.mark.parametrize("shape", [(1, 64, 8), (3, 70, 8), (2, 8, 9, 8)])
@pytest.mark.parametrize("bias", [None, False])
def test_outputs_and_gradients_are_those_of_paddle_to_the_precision_of_the_operands(shape, bias):
    own, other = twins(nn.Linear(8, 11, bias_attr=bias), "bfloat16")
    given = noise(*shape)
    assert_close(passes(own, given), passes(other, given), TOLERANCE["bfloat16"])


def test_sums_are_float32():
    """4096 products of about 1: a sum in bfloat16 would stop at 256."""
    layer = nn.Linear(4096, 3)
    layer.weight.set_value(paddle.ones_like(layer.weight))
    _, other = twins(layer, "bfloat16")
    assert other(paddle.ones([1, 64, 4096])).numpy().tolist() == [[[4096.0] * 3] * 64]


def test_a_frozen_layer_passes_the_gradient_of_its_input_on():
    own, other = twins(nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 4)), "bfloat16")
    for layer in (own, other):
        for parameter in layer[1].parameters():
            parameter.stop_gradient = True
    assert_close(passes(own, noise(2, 64, 8)), passes(other, noise(2, 64, 8)), TOLERANCE["bfloat16"])
    assert other[1].weight.grad is None


def test_a_view_that_is_not_contiguous_is_read_rightly():
    own, other = twins(nn.Linear(8, 5), "bfloat16")
    given = paddle.to_tensor(noise(8, 80, 2)).transpose([2, 1, 0])
    np.testing.assert_allclose(other(given).numpy(), own(given).numpy(), atol=0.05)


def test_passes_are_repeated_bit_for_bit():
    _, other = twins(nn.Linear(33, 17), "bfloat16")
    first, second = passes(other, noise(2, 65, 33)), passes(other, noise(2, 65, 33))
    for name in ("output", "input"):
        assert first[name].tobytes() == second[name].tobytes()


@pytest.mark.parametrize("shape", [(8,), (0, 8), (100, 8), (3, 63, 8), (0, 64, 8)])
def test_what_the_library_does_not_take_is_computed_by_paddle(shape):
    own, other = twins(nn.Linear(8, 5), "bfloat16")
    np.testing.assert_array_equal(own(paddle.to_tensor(noise(*shape))).numpy(), other(paddle.to_tensor(noise(*shape))))


def test_an_input_of_another_size_is_refused_by_paddle():
    _, other = twins(nn.Linear(8, 5), "bfloat16")
    with pytest.raises(ValueError, match="dimension"):
        other(paddle.to_tensor(noise(2, 64, 7)))


def test_in_float32_the_layer_stays_paddles():
    assert replace(nn.Linear(8, 5), loaded(), "float32") == 0
    assert replace(nn.Linear(8, 5), loaded(), linear.OPERANDS) == 1


def test_a_clip_does_not_depend_on_those_beside_it():
    _, other = twins(nn.Linear(48, 24), "bfloat16")
    given = noise(5, 64, 48)
    together = other(paddle.to_tensor(given)).numpy()
    alone = np.concatenate([other(paddle.to_tensor(one[None])).numpy() for one in given])
    np.testing.assert_allclose(alone, together, rtol=1e-6, atol=1e-6)


def test_what_the_library_refuses_for_a_gradient_is_computed_by_paddle_from_the_start(monkeypatch):
    own, other = twins(nn.Linear(13, 7), "bfloat16")
    create = linear._Product

    def refuses_gradients(library, layouts, is_biased):
        if not is_biased:
            raise Refused("not implemented")
        return create(library, layouts, is_biased)

    monkeypatch.setattr(linear, "_Product", refuses_gradients)
    given = noise(2, 64, 13)
    assert_close(passes(own, given), passes(other, given), 0)
