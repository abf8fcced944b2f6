"""Optimizers by name, and their state under names that are stable across processes and restarts."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import paddle
from paddle.base.layer_helper import LayerHelper

from pannsdist.runtime.errors import BadRunFolder, SettingsError, candidates_line

UNSUPPORTED = ("Optimizer", "LBFGS")
"""The base class, and one whose step evaluates the loss again."""


def paddle_optimizers() -> dict[str, type[paddle.optimizer.Optimizer]]:
    """The optimizers of paddle.optimizer, by class name."""
    return {
        key: value
        for key, value in vars(paddle.optimizer).items()
        if inspect.isclass(value) and issubclass(value, paddle.optimizer.Optimizer) and key not in UNSUPPORTED
    }


def optimizer_class(name: str, params: Mapping[str, Any]) -> type[paddle.optimizer.Optimizer]:
    """A class of paddle.optimizer by name. Raises SettingsError for an unknown name or argument."""
    classes = paddle_optimizers()
    if name not in classes:
        raise SettingsError(f"unknown optimizer.name '{name}'", candidates_line(name, classes, "in paddle.optimizer"))
    known = set(inspect.signature(classes[name].__init__).parameters) - {"self", "learning_rate", "parameters", "name"}
    for key in params:
        if key not in known:
            right = candidates_line(key, known, f"arguments of {name}")
            raise SettingsError(f"unknown key optimizer.params.{key}", right)
    return classes[name]


def trainable(layer: paddle.nn.Layer) -> list[paddle.Tensor]:
    """The layer's trainable parameters. (Paddle counts running statistics among the parameters.)"""
    return [parameter for parameter in layer.parameters() if not parameter.stop_gradient]


def build_optimizer(
    name: str, params: Mapping[str, Any], learning_rate: float, layer: paddle.nn.Layer
) -> paddle.optimizer.Optimizer:
    """An optimizer of the layer's trainable parameters. Raises SettingsError for invalid `params`."""
    try:
        return optimizer_class(name, params)(learning_rate=learning_rate, parameters=trainable(layer), **params)
    except (TypeError, ValueError, AssertionError) as error:
        raise SettingsError(
            f"optimizer.params is not valid for {name}: {error}", "see paddle.optimizer." + name
        ) from error


def slot_names(optimizer: paddle.optimizer.Optimizer, layer: paddle.nn.Layer) -> list[str]:
    """The names of the optimizer's state, `parameter/slot`. Raises KeyError for state of a tensor outside the layer."""
    _create_slots(optimizer)
    return [name for name, _ in _slots(optimizer, layer)]


def optimizer_arrays(optimizer: paddle.optimizer.Optimizer, layer: paddle.nn.Layer) -> dict[str, np.ndarray]:
    """The optimizer's state by `parameter/slot`, copied to the host.

    It covers all parameters, including frozen ones that were not updated yet.
    """
    _create_slots(optimizer)
    return {name: tensor.numpy() for name, tensor in _slots(optimizer, layer)}


def restore_optimizer(
    optimizer: paddle.optimizer.Optimizer, layer: paddle.nn.Layer, arrays: Mapping[str, np.ndarray]
) -> None:
    """Restore what `optimizer_arrays` returned. Raises BadRunFolder if the state belongs to another optimizer.

    Paddle derives state names from per-process counters (`linear_0.w_0_moment1_0`), which differ for a second model in
    the same process; here structured parameter names are used, and the slots are created first.
    """
    _create_slots(optimizer)
    slots = dict(_slots(optimizer, layer))
    if slots.keys() != arrays.keys():
        differing = sorted(slots.keys() ^ arrays.keys())
        right = f"{len(differing)} entries differ, such as {differing[0]}"
        raise BadRunFolder("the checkpoint's optimizer state is that of another optimizer or model", right)
    for name, tensor in slots.items():
        tensor.set_value(arrays[name].reshape(tensor.shape))


def state_on_device(optimizer: paddle.optimizer.Optimizer, on_gpu: bool) -> list[paddle.Tensor]:
    """The tensors of the optimizer's whole state, created if they were not, all of them on the device.

    Paddle keeps the powers of beta of Adam, AdamW and Lamb on the host, where the device could not keep them in a step
    that it skips; their kernels take them from the device as well.
    """
    _create_slots(optimizer)
    for by_parameter in optimizer._accumulators.values():
        if on_gpu:
            by_parameter.update({name: tensor.cuda() for name, tensor in by_parameter.items()})
    return [tensor for by_parameter in optimizer._accumulators.values() for tensor in by_parameter.values()]


def _create_slots(optimizer: paddle.optimizer.Optimizer) -> None:
    if optimizer.helper is None:  # Paddle 2.6.2 creates it in the first step only
        optimizer.helper = LayerHelper(type(optimizer).__name__)
    block = paddle.static.default_main_program().global_block()
    optimizer._create_accumulators(block, list(optimizer._parameter_list))


def _slots(optimizer: paddle.optimizer.Optimizer, layer: paddle.nn.Layer) -> Iterator[tuple[str, paddle.Tensor]]:
    names = {parameter.name: name for name, parameter in layer.named_parameters()}
    for slot, by_parameter in optimizer._accumulators.items():
        for parameter, tensor in by_parameter.items():
            yield f"{names[parameter]}/{slot}", tensor
