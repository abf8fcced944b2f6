"""A network whose weights no longer change: the library computes what Paddle computes, and the network stays."""

import numpy as np
import paddle
import pytest
from layers import IS_KNOWN, noise
from paddle import nn

from pannsdist.kernels import choice, fixed
from pannsdist.kernels.fixed import FixedNetwork
from pannsdist.kernels.fixed_convolution import FixedConvolution
from pannsdist.kernels.library import Refused, loaded

pytestmark = pytest.mark.skipif(not IS_KNOWN, reason="Paddle carries another oneDNN, which is not used")
TOLERANCE = {"float32": 1e-5, "bfloat16": 3e-2}


def norm(channels, **kind):
    """A batch norm with statistics and weights of its own."""
    layer = nn.BatchNorm2D(channels, **kind)
    random = np.random.default_rng(channels)
    for one in (layer._mean, layer.weight, layer.bias):
        if one is not None:
            one.set_value(random.normal(size=channels).astype(np.float32))
    layer._variance.set_value(random.uniform(0.5, 2.0, channels).astype(np.float32))
    return layer


def plain(inputs, outputs, **kind):
    return nn.Conv2D(inputs, outputs, 3, padding=1, **kind)


SEQUENCES = {
    "block": lambda: [plain(3, 8, bias_attr=False), norm(8), nn.ReLU(), plain(8, 5), norm(5), nn.AvgPool2D(2)],
    "alone": lambda: [plain(3, 8)],
    "activations": lambda: [plain(3, 8), nn.Hardswish(), plain(8, 4), nn.Sigmoid(), nn.ReLU()],
    "norm first": lambda: [norm(3), plain(3, 4), norm(4), nn.Hardswish(), norm(4)],
    "norm without weights": lambda: [plain(3, 4), norm(4, weight_attr=False, bias_attr=False), nn.ReLU()],
    "depthwise": lambda: [
        nn.Conv2D(3, 6, 1),
        nn.Conv2D(6, 6, 3, stride=2, padding=1, groups=6),
        norm(6),
        nn.Identity(),
    ],
    "uneven": lambda: [nn.Conv2D(3, 8, (2, 5), padding=[1, 0, 2, 3], stride=(2, 1), dilation=(1, 2)), nn.ReLU()],
    "uneven pool": lambda: [plain(3, 4), nn.AvgPool2D((3, 2), stride=(1, 2), padding=(1, 0))],
    "statistics of the batch": lambda: [plain(3, 4), norm(4, use_global_stats=False), nn.ReLU()],
}


def sequence(kind, seed=1):
    paddle.seed(seed)
    layer = nn.Sequential(*SEQUENCES[kind]())
    layer.eval()
    return layer


def computed(network, layer, given):
    with network.active():
        return layer(paddle.to_tensor(given)).numpy()


def by_paddle(layer, given):
    with paddle.no_grad():
        return layer(paddle.to_tensor(given)).numpy()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", [(2, 9, 13), (3, 17, 8), (1, 40, 11)])
@pytest.mark.parametrize("kind", SEQUENCES)
def test_sequences_are_those_of_paddle(kind, size, dtype):
    layer, (batch, height, width) = sequence(kind), size
    given = noise(batch, 3, height, width)
    expected = by_paddle(layer, given)
    network = FixedNetwork(layer, loaded(), dtype, 1)
    assert network.count == 1
    found = computed(network, layer, given)
    assert found.dtype == np.float32 and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[dtype] * np.abs(expected).max())


def test_the_library_computes_it_all(monkeypatch):
    layer, sizes = sequence("block"), ((2, 3, 9, 8), (1, 3, 4, 30))
    expected = [by_paddle(layer, noise(*size)) for size in sizes]
    network = FixedNetwork(layer, loaded(), "float32", 1)
    monkeypatch.setattr(nn.Conv2D, "forward", None)  # what Paddle should compute would fail
    for size, output in zip(sizes, expected, strict=True):
        np.testing.assert_allclose(computed(network, layer, noise(*size)), output, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["block", "uneven", "statistics of the batch"])
@pytest.mark.parametrize("size", [1, 5000])
def test_a_batch_in_parts_is_the_whole_batch(kind, size, monkeypatch):
    layer, given = sequence(kind), noise(5, 3, 9, 8)
    expected = by_paddle(layer, given)
    monkeypatch.setattr(fixed, "ACTIVATION_BYTES", size)
    network = FixedNetwork(layer, loaded(), "float32", 1)
    np.testing.assert_allclose(computed(network, layer, given), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_outside_the_block_the_network_is_as_it_was():
    layer = nn.Sequential(sequence("block"), nn.Flatten(1), nn.Linear(40, 2))
    own = layer[1].forward = layer[1].forward  # one that a plugin has set is kept
    before = by_paddle(layer, noise(2, 3, 4, 8))
    network = FixedNetwork(layer, loaded(), "bfloat16", 1)
    changed = [part for part in layer.sublayers(include_self=True) if "forward" in vars(part)]
    assert changed == [layer[1]] and layer[1].forward is own
    with pytest.raises(ZeroDivisionError), network.active():
        assert len([part for part in layer.sublayers(include_self=True) if "forward" in vars(part)]) == 2
        raise ZeroDivisionError
    assert [part for part in layer.sublayers(include_self=True) if "forward" in vars(part)] == [layer[1]]
    np.testing.assert_array_equal(by_paddle(layer, noise(2, 3, 4, 8)), before)


def test_the_number_of_threads_and_the_gradients_are_as_before_the_block():
    library = loaded()
    before = library.threads
    network = FixedNetwork(sequence("block"), library, "float32", before + 1)
    with network.active():
        assert library.threads == before + 1 and not paddle.is_grad_enabled()
    assert library.threads == before and paddle.is_grad_enabled()


@pytest.mark.parametrize("shape", [(2, 4, 9, 8), (0, 3, 9, 8), (1, 3, 1, 1)])
def test_shapes_that_the_library_does_not_take_are_left_to_paddle(shape):
    """Other channels, no image, and an image without room for the pool: Paddle's answer, or its error."""
    layer = sequence("block")
    network = FixedNetwork(layer, loaded(), "float32", 1)

    def answer(compute):
        try:
            return compute().shape
        except (ValueError, OSError, RuntimeError) as error:
            return type(error)

    assert answer(lambda: computed(network, layer, noise(*shape))) == answer(lambda: by_paddle(layer, noise(*shape)))


def test_what_the_library_refuses_is_left_to_paddle(monkeypatch):
    layer, given = sequence("block"), noise(2, 3, 9, 8)

    def refuse(*_, **__):
        raise Refused("not implemented")

    monkeypatch.setattr(FixedConvolution, "forward", refuse)
    network = FixedNetwork(layer, loaded(), "float32", 1)
    np.testing.assert_array_equal(computed(network, layer, given), by_paddle(layer, given))


def test_in_a_forked_process_paddle_computes(monkeypatch):
    """The threads of the library do not survive a fork, which another id of the process stands for here."""
    layer, given = sequence("block"), noise(2, 3, 9, 8)
    network, called = FixedNetwork(layer, loaded(), "float32", 1), []
    monkeypatch.setattr(FixedConvolution, "forward", lambda *_, **__: called.append(1))
    monkeypatch.setattr(loaded(), "process", 1)
    np.testing.assert_array_equal(computed(network, layer, given), by_paddle(layer, given))
    assert not called


def test_weights_are_folded_once_for_shapes_of_one_layout(monkeypatch):
    layer, folded = sequence("alone"), []
    own = FixedConvolution._folded_weights
    monkeypatch.setattr(FixedConvolution, "_folded_weights", lambda *given: folded.append(1) or own(*given))
    network = FixedNetwork(layer, loaded(), "float32", 1)
    for height in (9, 9, 10):
        computed(network, layer, noise(1, 3, height, 20))
    assert len(folded) == 1


def test_half_precision_is_refused_where_the_processor_has_none():
    assert "no instructions for bfloat16" in choice.refusal(choice.HALF, _Plain)
    assert choice.refusal(choice.FLOAT, _Plain) == ""


class _Plain:
    """A library on a processor with AVX-512 alone."""

    version, instructions = (3, 6, 2), 0x27
