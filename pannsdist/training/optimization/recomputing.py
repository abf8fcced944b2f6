"""Recompute: a stage's activations are thrown away after forward and computed again for backward (arXiv 1604.06174)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import paddle
from paddle.nn.layer.norm import _BatchNormBase

from pannsdist.distributed import fleet
from pannsdist.runtime.errors import SettingsError
from pannsdist.training.optimization.freezing import Stage


def recompute_parts(layer: paddle.nn.Layer, stages: Sequence[Stage]) -> list[str]:
    """Have each stage of a network recomputed; gives the names of the layers that are.

    A list of layers is no layer itself: its items are recomputed. Raises SettingsError where no stage has parts.
    """
    sublayers = dict(layer.named_sublayers())
    prefixes = [prefix for stage in stages for prefix in stage.prefixes if prefix in sublayers]
    parts = {name: part for prefix in prefixes for name, part in _parts(prefix, sublayers[prefix])}
    if not parts:
        raise SettingsError("train.recompute has nothing to throw away: no stage of the model has several layers")
    for part in parts.values():
        part.forward = partial(_recomputed, part, part.forward)
    return list(parts)


def _parts(name: str, layer: paddle.nn.Layer) -> Iterator[tuple[str, paddle.nn.Layer]]:
    if isinstance(layer, paddle.nn.LayerList | paddle.nn.LayerDict):
        for key, item in layer.named_children():
            yield from _parts(f"{name}.{key}", item)
    elif any(True for _ in layer.children()):
        yield name, layer


def _recomputed(part: paddle.nn.Layer, forward: Callable[..., Any], *inputs: Any) -> Any:
    """The part's forward; in its second run, for backward, it draws the same numbers and moves no statistics."""
    if not paddle.is_grad_enabled():
        return forward(*inputs)
    state = paddle.get_rng_state()
    runs = 0

    def run(*inputs: Any) -> Any:
        nonlocal runs
        runs += 1
        if runs == 1:
            return forward(*inputs)
        with _once_more(part, state):
            return forward(*inputs)

    return fleet.recompute(run, *inputs)


@contextmanager
def _once_more(part: paddle.nn.Layer, state: Sequence[Any]) -> Iterator[None]:
    now = paddle.get_rng_state()
    norms = [norm for norm in part.sublayers(include_self=True) if isinstance(norm, _BatchNormBase)]
    momenta = [norm._momentum for norm in norms]
    paddle.set_rng_state(state)
    for norm in norms:
        norm._momentum = 1.0  # the share of the old value: they stay as they are
    try:
        yield
    finally:
        paddle.set_rng_state(now)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm._momentum = momentum
