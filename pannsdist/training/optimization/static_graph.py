"""A model that Paddle computes as a static graph instead of operator by operator."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import paddle

from pannsdist.runtime.errors import SettingsError


def enable_static_graph(model: paddle.nn.Layer) -> None:
    """Compute the forward and backward pass of a model as a static graph, made by `paddle.jit.to_static`.

    A graph is made in the first pass in training mode, in that in evaluation mode, and for each new shape. It keeps to
    the modes that the sublayers have then, so none may be frozen or unfrozen later. The first pass in a mode raises
    SettingsError if Paddle cannot make a graph.
    """
    paddle.jit.to_static(model, full_graph=True)
    model.forward = _StaticForward(model, model.forward)


class _StaticForward:
    def __init__(self, model: paddle.nn.Layer, forward: Callable[..., Any]) -> None:
        self._model, self._forward = model, forward
        self._known: set[tuple[object, ...]] = set()

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        graph = (self._model.training, *map(_shape, inputs), *((name, _shape(value)) for name, value in named.items()))
        if graph in self._known:
            return self._forward(*inputs, **named)
        outputs = self._first_pass(inputs, named)
        self._known.add(graph)
        return outputs

    def _first_pass(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Paddle warns of its own code while it makes a graph
                return self._forward(*inputs, **named)
        except Exception as error:  # any, from the code of the model or from Paddle
            wrong = f"train.to_static is set, and the first pass of the model failed: {_described(error)}"
            raise SettingsError(wrong, "train.to_static=false computes it operator by operator") from error


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, paddle.Tensor) else None


def _described(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
