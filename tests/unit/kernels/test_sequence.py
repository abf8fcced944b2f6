"""The library's kernels against Paddle's own: outputs, gradients and running statistics."""

import gc

import numpy as np
import paddle
import pytest
from layers import IS_KNOWN, TOLERANCE, assert_close, noise, passes, twins
from paddle import nn

from pannsdist.contracts.network import evaluation_mode
from pannsdist.kernels import codes, primitives
from pannsdist.kernels.library import Refused, loaded
from pannsdist.kernels.normalization import BatchNorm
from pannsdist.kernels.operators import Activation, Formula
from pannsdist.kernels.sequence import FusedSequence

pytestmark = pytest.mark.skipif(not IS_KNOWN, reason="Paddle carries another oneDNN, which is not used")

CONVOLUTIONS = (
    {"in_channels": 3, "out_channels": 5, "kernel_size": 3, "padding": 1},
    {"in_channels": 1, "out_channels": 64, "kernel_size": 3, "padding": 1, "bias_attr": False},
    {
        "in_channels": 16,
        "out_channels": 16,
        "kernel_size": 3,
        "padding": 1,
        "groups": 16,
        "stride": 2,
        "bias_attr": False,
    },
    {"in_channels": 24, "out_channels": 24, "kernel_size": 5, "padding": 2, "groups": 24},
    {"in_channels": 16, "out_channels": 32, "kernel_size": 1, "bias_attr": False},
    {"in_channels": 16, "out_channels": 16, "kernel_size": 1, "stride": 2},
    {"in_channels": 8, "out_channels": 12, "kernel_size": 3, "groups": 4},
    {"in_channels": 8, "out_channels": 8, "kernel_size": (3, 1), "padding": (1, 0), "dilation": 2},
    {"in_channels": 4, "out_channels": 8, "kernel_size": (2, 5), "padding": [1, 0, 2, 3], "stride": (2, 1)},
    {"in_channels": 3, "out_channels": 3, "kernel_size": 3, "padding": [[0, 0], [0, 0], [1, 2], [0, 1]]},
)


@pytest.mark.parametrize("size", [(2, 9, 8), (1, 5, 6), (3, 16, 7)])
@pytest.mark.parametrize("kind", range(len(CONVOLUTIONS)))
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_convolutions_are_those_of_paddle(kind, size, dtype):
    chosen, (batch, height, width) = CONVOLUTIONS[kind], size
    own, other = twins(nn.Conv2D(**chosen), dtype)
    given = noise(batch, chosen["in_channels"], height, width, seed=kind)
    assert_close(passes(own, given), passes(other, given), TOLERANCE[dtype])


def block(inputs, outputs, *following, kernel=3, **norm):
    conv = nn.Conv2D(inputs, outputs, kernel, padding=kernel // 2, bias_attr=False)
    return nn.Sequential(("conv1", conv), ("bn1", nn.BatchNorm2D(outputs, **norm)), *enumerate_names(following))


def enumerate_names(layers):
    return [(f"next{number}", layer) for number, layer in enumerate(layers)]


BLOCKS = (
    lambda: block(3, 16, nn.ReLU(), nn.AvgPool2D(2)),
    lambda: block(1, 8, nn.Hardswish(), momentum=0.99, epsilon=1e-3),
    lambda: block(4, 5, nn.ReLU(), nn.Conv2D(5, 7, 1), nn.Sigmoid()),
    lambda: block(4, 8, weight_attr=False, bias_attr=False),
    lambda: block(4, 8, nn.ReLU(), use_global_stats=True),
    lambda: block(2, 16, nn.Sequential(nn.ReLU(), nn.Identity(), nn.Conv2D(16, 3, 3))),
    lambda: block(2, 4, nn.AvgPool2D((2, 3), stride=1, padding=1), nn.AvgPool2D(2, padding=1, exclusive=False)),
    lambda: nn.Sequential(*block(3, 8), nn.Hardswish(), nn.Tanh(), *block(8, 8, nn.ReLU()), nn.Softplus()),
    lambda: nn.Sequential(*block(3, 8, nn.ReLU()), *block(8, 8, nn.ReLU(), nn.AvgPool2D(2))),
)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_sequences_are_those_of_paddle(number, training):
    paddle.seed(number)
    own, other = twins(BLOCKS[number]())
    for seed in (1, 2):  # the running statistics of the first pass are used in the second
        given = noise(3, own[0]._in_channels, 11, 9, seed=seed)
        for layer in (own, other):
            layer.train() if training else layer.eval()
        assert_close(passes(own, given), passes(other, given), TOLERANCE["float32"])
        with evaluation_mode(own), evaluation_mode(other), paddle.no_grad():
            both = (layer(paddle.to_tensor(given)).numpy() for layer in (own, other))
            np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_half_precision_keeps_weights_and_statistics_in_float32(number):
    own, other = twins(BLOCKS[number](), "bfloat16")
    given = noise(4, own[0]._in_channels, 16, 16)
    found = passes(other, given)
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    expected = passes(own, given)
    for name, array in expected.items():
        cosine = np.sum(array * found[name]) / (np.linalg.norm(array) * np.linalg.norm(found[name]) + 1e-12)
        assert cosine > 0.99 or np.abs(array).max() < 1e-4, name


def test_a_network_keeps_its_names_classes_and_weights():
    layer = nn.Sequential(block(1, 4, nn.ReLU()), nn.Flatten(), nn.Linear(4 * 36, 2))
    own, other = twins(layer)
    assert [(name, type(one)) for name, one in own.named_sublayers()] == [
        (name, type(one)) for name, one in other.named_sublayers()
    ]
    assert list(own.state_dict()) == list(other.state_dict())
    assert_close(passes(own, noise(2, 1, 6, 6)), passes(other, noise(2, 1, 6, 6)), 1e-5)


def test_weights_that_the_optimizer_changes_in_place_are_used():
    own, other = twins(block(3, 8, nn.ReLU()))
    optimizers = [paddle.optimizer.SGD(0.5, parameters=layer.parameters()) for layer in (own, other)]
    given = noise(4, 3, 8, 8)
    for _ in range(3):
        for layer, optimizer in zip((own, other), optimizers, strict=True):
            layer(paddle.to_tensor(given)).square().mean().backward()
            optimizer.step()
            optimizer.clear_grad()
    assert_close({"w": own[0].weight.numpy()}, {"w": other[0].weight.numpy()}, 1e-5)
    assert_close(passes(own, given), passes(other, given), 1e-5)


def test_frozen_weights_get_no_gradient_and_those_before_them_do():
    own, other = twins(block(3, 8, nn.ReLU(), nn.Conv2D(8, 4, 3)))
    for layer in (own, other):
        layer[3].weight.stop_gradient = layer[0].weight.stop_gradient = True
    assert_close(passes(own, noise(2, 3, 8, 8)), passes(other, noise(2, 3, 8, 8)), 1e-5)
    assert other[3].weight.grad is None and other[1].weight.grad is not None


def test_two_runs_are_bit_equal():
    layer = block(3, 16, nn.ReLU(), nn.AvgPool2D(2), nn.Conv2D(16, 32, 3))
    given = noise(4, 3, 21, 18)
    first, second = (passes(twins(layer)[1], given) for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_an_evaluation_is_bit_equal_with_any_number_of_threads(number, monkeypatch):
    """So that `evaluate` in one process gives the scores of a training in several."""
    _, layer = twins(BLOCKS[number]())
    layer.eval()
    given = paddle.to_tensor(noise(5, layer[0]._in_channels, 40, 33))
    outputs = []
    for count in (1, 2, 4):
        monkeypatch.setattr(loaded(), "threads", count)
        with paddle.no_grad():
            outputs.append(layer(given).numpy())
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], outputs[2])


def test_a_gradient_of_a_gradient_is_refused():
    _, other = twins(nn.Conv2D(3, 8, 3))
    other.weight.stop_gradient = other.bias.stop_gradient = True
    given = paddle.to_tensor(noise(2, 3, 8, 8), stop_gradient=False)
    with pytest.raises(OSError, match="no gradient of a gradient"):
        paddle.grad([other(given).square().sum()], [given], create_graph=True)


def test_statistics_move_once_where_a_later_operator_is_refused():
    """Paddle's own forward runs then, and moves them itself."""

    class Refusing(Activation):
        def forward(self, *_, **__):
            raise Refused("no implementation")

    own, other = nn.BatchNorm2D(4), nn.BatchNorm2D(4)
    operators = [BatchNorm(loaded(), other, relu=False), Refusing(loaded(), Formula(codes.RELU))]
    sequence = FusedSequence(loaded(), operators, "float32", other.forward)
    given = paddle.to_tensor(3.0 + noise(2, 4, 5, 6))
    np.testing.assert_array_equal(sequence(given).numpy(), own(given).numpy())
    for name in ("_mean", "_variance"):
        np.testing.assert_array_equal(getattr(other, name).numpy(), getattr(own, name).numpy())


def test_an_input_that_is_a_view_is_read_as_what_it_is():
    own, other = twins(nn.Conv2D(3, 8, 3))
    given = paddle.to_tensor(noise(2, 8, 9, 3)).transpose([0, 3, 1, 2])
    np.testing.assert_allclose(own(given).numpy(), other(given).numpy(), atol=1e-5)
    np.testing.assert_allclose(own(given[:, :, 1:7:2]).numpy(), other(given[:, :, 1:7:2]).numpy(), atol=1e-5)


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (2, 3, 2, 2), (1, 3, 3, 3), (3, 8, 8)])
def test_shapes_that_the_kernels_do_not_take_are_left_to_paddle(shape):
    """An empty batch, an image smaller than the kernel, one value per channel, no batch axis."""
    own, other = twins(nn.Sequential(nn.Conv2D(3, 4, 3), nn.BatchNorm2D(4)))
    outcomes = []
    for layer in (own, other):
        try:
            outcomes.append(layer(paddle.to_tensor(noise(*shape))).numpy())
        except (ValueError, OSError, RuntimeError) as error:
            outcomes.append(type(error))
    if isinstance(outcomes[0], np.ndarray):
        np.testing.assert_allclose(*outcomes, atol=1e-5)
    else:
        assert outcomes[0] is outcomes[1]


def test_many_shapes_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(primitives, "CAPACITY", 12)
    own, other = twins(block(1, 4, nn.ReLU()))
    for length in (*range(8, 40), 8):
        given = noise(1, 1, length, 4)
        np.testing.assert_allclose(own(paddle.to_tensor(given)), other(paddle.to_tensor(given)), atol=1e-5)
        assert len(primitives.KEPT) <= 12
    gc.collect()
