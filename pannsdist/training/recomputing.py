"""Recompute: a stage's activations are thrown away after forward and computed again for backward (arXiv 1604.06174)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import paddle
from paddle.nn.layer.norm import _BatchNormBase

from pannsdist import parallel
from pannsdist.errors import SettingsError


def recompute_parts(layer: paddle.nn.Layer) -> list[str]:
    """Have the top-level parts of a network recomputed; gives their names.

    A list of layers is no layer itself: its items are the parts. Raises SettingsError where nothing has parts.
    """
    parts = dict(_parts(layer))
    if not parts:
        raise SettingsError("train.recompute has nothing to throw away: the model has no parts of several layers")
    for part in parts.values():
        part.forward = partial(_recomputed, part, part.forward)
    return list(parts)


def _parts(layer: paddle.nn.Layer, prefix: str = "") -> Iterator[tuple[str, paddle.nn.Layer]]:
    for name, part in layer.named_children():
        if isinstance(part, paddle.nn.LayerList | paddle.nn.LayerDict):
            yield from _parts(part, f"{prefix}{name}.")
        elif any(part.children()) and any(not parameter.stop_gradient for parameter in part.parameters()):
            yield f"{prefix}{name}", part


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

    return parallel.recompute(run, *inputs)


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
