"""Activation recomputation (gradient checkpointing, arXiv 1604.06174): less memory for a second forward pass."""

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


def enable_recompute(layer: paddle.nn.Layer, stages: Sequence[Stage]) -> list[str]:
    """Recompute the activations of each stage in backward; returns the names of the recomputed layers.

    For a list of layers, its items are recomputed; a stage within another one is recomputed with that, since Paddle
    refuses one recomputation within another. Raises SettingsError if no stage has sublayers.
    """
    sublayers = dict(layer.named_sublayers())
    prefixes = [prefix for stage in stages for prefix in stage.prefixes if prefix in sublayers]
    every = {name: part for prefix in prefixes for name, part in _parts(prefix, sublayers[prefix])}
    parts = {name: part for name, part in every.items() if not any(name.startswith(f"{other}.") for other in every)}
    if not parts:
        raise SettingsError("train.recompute has no effect: no stage of the model has sublayers")
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
    """The part's forward. The second run, in backward, uses the same random state and updates no running statistics."""
    if not paddle.is_grad_enabled():
        return forward(*inputs)
    state = paddle.get_rng_state()
    runs = 0

    def run(*inputs: Any) -> Any:
        nonlocal runs
        runs += 1
        if runs == 1:
            return forward(*inputs)
        with _replay(part, state):
            return forward(*inputs)

    return fleet.recompute(run, *inputs)


@contextmanager
def _replay(part: paddle.nn.Layer, state: Sequence[Any]) -> Iterator[None]:
    current_state = paddle.get_rng_state()
    norms = [norm for norm in part.sublayers(include_self=True) if isinstance(norm, _BatchNormBase)]
    momenta = [norm._momentum for norm in norms]
    paddle.set_rng_state(state)
    for norm in norms:
        norm._momentum = 1.0  # the weight of the old value: the statistics stay unchanged
    try:
        yield
    finally:
        paddle.set_rng_state(current_state)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm._momentum = momentum
