"""Whether a network with a frozen body can be trained from embeddings: nothing random before its head, and none after.

What is checked is what the network does with noise; its weights do not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import paddle
from paddle import nn

from pannsdist.contracts.network import Network, evaluation_mode
from pannsdist.inference.heads import agree

ROWS, LEVEL = 2, 0.1
"""Rows of noise, and its standard deviation."""


@dataclass(frozen=True)
class Finding:
    """The numbers of an embedding; 0 where the head cannot be trained from embeddings, with the reason, a clause."""

    size: int
    reason: str = ""


@dataclass
class _Pass:
    """What the head got and gave in a pass, and what the network gave."""

    inputs: list[tuple[paddle.Tensor, ...]] = field(default_factory=list)
    given: list[paddle.Tensor] = field(default_factory=list)
    output: paddle.Tensor | None = None


def examine(network: Network, samples: int) -> Finding:
    """Run noise of so many samples through a network in training mode whose frozen stages are in evaluation mode.

    What the head gives is replaced by other noise, which must be what the network gives.
    """
    noise = np.random.default_rng(0).normal(0.0, LEVEL, (ROWS, samples)).astype(np.float32)
    with paddle.no_grad():
        passes = [_passed(network, noise, seed) for seed in (0, 1)]
        with evaluation_mode(network):
            evaluated = _passed(network, noise, 2)
    for one in (*passes, evaluated):
        if reason := _unsuitable(one):
            return Finding(0, reason)
    first, second, expected = (one.inputs[0][0].numpy() for one in (*passes, evaluated))
    if not np.array_equal(first, second, equal_nan=True):
        return Finding(0, _random_parts(network))
    if not agree(first, expected) and np.isfinite(expected).all():
        return Finding(0, "what comes before its head computes something else in training than in evaluation")
    return Finding(int(first.shape[1]))


def _passed(network: Network, noise: np.ndarray, seed: int) -> _Pass:
    paddle.seed(seed)
    seen = _Pass()
    with _watched(network.head_layer, seen):
        seen.output = network(paddle.to_tensor(noise))
    return seen


@contextmanager
def _watched(head: nn.Layer, seen: _Pass) -> Iterator[None]:
    """Within the block the inputs of a layer are noted, and its output is replaced."""

    def replaced(_: nn.Layer, inputs: tuple[paddle.Tensor, ...], output: paddle.Tensor) -> paddle.Tensor:
        seen.inputs.append(inputs)
        seen.given.append(paddle.rand(output.shape, dtype="float32"))
        return seen.given[-1]

    hook = head.register_forward_post_hook(replaced)
    try:
        yield
    finally:
        hook.remove()


def _unsuitable(seen: _Pass) -> str:
    """Why the output of a network is not that of its head for one vector a clip; empty if it is."""
    if len(seen.inputs) != 1:
        return f"its head runs {len(seen.inputs)} times for a clip"
    inputs = seen.inputs[0]
    if len(inputs) != 1 or inputs[0].ndim != 2 or inputs[0].shape[0] != ROWS:
        return "its head does not get one vector a clip"
    output, given = seen.output, seen.given[0]
    if output is None or output.shape != given.shape or not np.array_equal(output.numpy(), given.numpy()):
        return "something is computed after its head"
    return ""


def _random_parts(network: Network) -> str:
    head = network.head_layer
    own = {id(part) for part in head.sublayers(include_self=True)}
    names = [
        name
        for name, part in network.model.named_sublayers()
        if isinstance(part, nn.Dropout) and part.training and part.p and id(part) not in own
    ]
    shown = f", such as {names[0]}" if names else ""
    return f"it has dropout or another random part before its head that freezing leaves on{shown}"
