"""Gradients in buffers: what is summed is every gradient once, and what becomes of it is each parameter's gradient."""

import numpy as np
import paddle
import pytest

from pannsdist.distributed.averaging import ALIGNMENT, GradientAverage, groups


def layers():
    paddle.seed(3)
    return paddle.nn.Sequential(paddle.nn.Linear(3, 100), paddle.nn.ReLU(), paddle.nn.Linear(100, 2))


def losses(network, step):
    return network(paddle.to_tensor(np.random.default_rng(step).normal(size=(4, 3)).astype(np.float32)))


def three_times(tensor):
    """What an all-reduce does if two other processes have the same gradients."""
    tensor.scale_(3)


def trained(average):
    """The weights after three steps, with accumulated gradients in the second."""
    network = layers()
    optimizer = paddle.optimizer.AdamW(0.01, parameters=network.parameters())
    for step in range(3):
        losses(network, step).sum().backward()
        if step == 1:
            losses(network, 7).sum().backward()
        average(network.parameters())
        optimizer.step()
        optimizer.clear_grad()
    return [parameter.numpy() for parameter in network.parameters()]


@pytest.mark.parametrize("buffer_mb", [25, 0.001, 1e-9])
def test_a_mean_of_equal_gradients_trains_as_one_process(buffer_mb):
    expected = trained(lambda _: None)
    means = trained(GradientAverage(3, buffer_mb, three_times).average)
    for mean, own in zip(means, expected, strict=True):
        np.testing.assert_allclose(mean, own, rtol=2e-6, atol=1e-7)


def test_every_gradient_is_in_one_buffer_and_keeps_its_shape():
    network, sums = layers(), []
    losses(network, 0).sum().backward()
    before = [parameter.grad.numpy().copy() for parameter in network.parameters()]
    average = GradientAverage(2, 25, lambda buffer: sums.append(float(buffer.sum())))
    average.average(network.parameters())
    assert sums == pytest.approx([sum(float(gradient.sum()) for gradient in before) / 2], rel=1e-5)
    for parameter, gradient in zip(network.parameters(), before, strict=True):
        assert np.array_equal(parameter.grad.numpy(), gradient / 2)


def test_parameters_that_are_trained_later_are_averaged_too():
    """Others of the same number too: a stage is frozen and another one is not any more."""
    network = layers()
    first, second, *_ = network.parameters()
    average = GradientAverage(2, 25, lambda buffer: buffer.scale_(6))
    for trained_ones in ([first], [second], network.parameters()):
        losses(network, 0).sum().backward()
        expected = [3 * parameter.grad.numpy() for parameter in trained_ones]
        average.average(trained_ones)
        for parameter, gradient in zip(trained_ones, expected, strict=True):
            assert np.array_equal(parameter.grad.numpy(), gradient)
        network.clear_gradients()


def test_every_gradient_begins_where_one_with_memory_of_its_own_would():
    network = layers()
    losses(network, 0).sum().backward()
    GradientAverage(2, 25, lambda _: None).average(network.parameters())
    places = [parameter.grad.data_ptr() for parameter in network.parameters()]
    assert len(set(places)) == 4
    assert {(place - min(places)) % (4 * ALIGNMENT) for place in places} == {0}


def test_buffers_are_filled_in_order_up_to_their_size_and_hold_one_type():
    parameters = [paddle.create_parameter([size], kind) for size, kind in _SIZES]
    for parameter in parameters:
        parameter.sum().backward()
    sizes = [[int(parameter.size) for parameter in group] for group in groups(parameters, 1024 * 4 / 2**20)]
    assert sizes == [[512, 512], [100], [2000], [64, 128], [64]]


_SIZES = [(512, "float32"), (512, "float32"), (100, "float32"), (2000, "float32"), (64, "float32")]
_SIZES += [(128, "float32"), (64, "float64")]
