"""Optimizers by name, and their state across restarts."""

import numpy as np
import paddle
import pytest
from small_parts import SmallLayer

from pannsdist.runtime.errors import BadRunFolder, SettingsError
from pannsdist.training.optimization.optimizers import (
    build_optimizer,
    optimizer_arrays,
    optimizer_class,
    restore_optimizer,
)

OPTIMIZERS = {"AdamW": {"weight_decay": 0.1}, "Adam": {}, "SGD": {}, "Momentum": {"momentum": 0.5}, "RMSProp": {}}


def test_an_unknown_optimizer_is_refused_with_the_nearest():
    with pytest.raises(SettingsError) as caught:
        optimizer_class("AdaW", {})
    assert str(caught.value).startswith("unknown optimizer.name 'AdaW'\n  closest: AdamW.  in paddle.optimizer: ")
    assert "Optimizer," not in str(caught.value)


def test_an_unknown_argument_is_refused_with_the_nearest():
    with pytest.raises(SettingsError) as caught:
        optimizer_class("AdamW", {"weight_decy": 0.1})
    assert str(caught.value).startswith("unknown key optimizer.params.weight_decy\n  closest: weight_decay.")


@pytest.mark.parametrize("key", ["parameters", "learning_rate", "name"])
def test_an_argument_that_the_framework_sets_is_refused(key):
    with pytest.raises(SettingsError, match=f"unknown key optimizer.params.{key}"):
        optimizer_class("AdamW", {key: 1})


@pytest.mark.parametrize("params", [{"beta1": 2.0}, {"beta1": "high"}, {"grad_clip": 1.0}])
def test_a_value_that_paddle_refuses_is_a_users_mistake(params):
    with pytest.raises(SettingsError, match=r"optimizer\.params is not valid for AdamW"):
        build_optimizer("AdamW", params, 0.1, SmallLayer(4, 2))


@pytest.mark.skipif(not hasattr(paddle.optimizer, "LBFGS"), reason="this Paddle has no LBFGS")
def test_an_optimizer_that_needs_a_closure_is_refused():
    with pytest.raises(SettingsError):
        optimizer_class("LBFGS", {})


def test_running_statistics_are_not_optimized():
    layer = SmallLayer(4, 2)
    optimizer = build_optimizer("SGD", {}, 0.1, layer)
    names = {parameter.name for parameter in optimizer._parameter_list}
    assert len(names) == 4
    assert layer.norm._mean.name not in names


def trained(layer, optimizer, steps, first=0):
    layer.eval()  # no dropout: only the optimizer may tell two runs apart
    for step in range(first, first + steps):
        image = np.random.default_rng(step).normal(size=(3, 1, 5, 4)).astype(np.float32)
        optimizer.set_lr(0.1 / (1 + step))
        layer(paddle.to_tensor(image)).square().mean().backward()
        optimizer.step()
        optimizer.clear_grad()


def arrays_of(layer):
    return {name: tensor.numpy() for name, tensor in layer.state_dict().items()}


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_restored_optimizer_continues_bit_equal(name):
    layer = SmallLayer(4, 2)
    optimizer = build_optimizer(name, OPTIMIZERS[name], 0.1, layer)
    trained(layer, optimizer, 3)
    state, weights = optimizer_arrays(optimizer, layer), arrays_of(layer)
    trained(layer, optimizer, 3, first=3)

    others = [paddle.nn.Linear(2, 2), paddle.nn.Conv2D(1, 1, 1)]  # Paddle's automatic names are others now
    again = SmallLayer(4, 2)
    restored = build_optimizer(name, OPTIMIZERS[name], 0.1, again)
    again.set_state_dict(weights)
    restore_optimizer(restored, again, state)
    assert_equal(optimizer_arrays(restored, again), state)
    trained(again, restored, 3, first=3)
    assert_equal(arrays_of(again), arrays_of(layer))
    assert_equal(optimizer_arrays(restored, again), optimizer_arrays(optimizer, layer))
    del others


def test_state_uses_structured_names():
    layer = SmallLayer(4, 2)
    optimizer = build_optimizer("Momentum", {}, 0.1, layer)
    trained(layer, optimizer, 1)
    assert sorted(optimizer_arrays(optimizer, layer)) == [
        *("classifier.bias/velocity", "classifier.weight/velocity"),
        *("norm.bias/velocity", "norm.weight/velocity"),
    ]


@pytest.mark.parametrize("fault", ["another optimizer", "missing", "extra"])
def test_the_state_of_another_optimizer_or_model_is_refused(fault):
    layer = SmallLayer(4, 2)
    optimizer = build_optimizer("Adam", {}, 0.1, layer)
    trained(layer, optimizer, 1)
    state = optimizer_arrays(optimizer, layer)
    if fault == "another optimizer":
        state = {name.rpartition("/")[0] + "/velocity": array for name, array in state.items()}
    elif fault == "missing":
        state.pop("norm.bias/moment1")
    else:
        state["more.bias/moment1"] = np.zeros(2, np.float32)
    with pytest.raises(BadRunFolder, match="is that of another optimizer or model"):
        restore_optimizer(optimizer, layer, state)
