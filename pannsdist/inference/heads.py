"""The head of a network as a layer of its own: taken out, so that the network gives what the head gets, or replaced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import paddle
from paddle import nn

from pannsdist.contracts.network import Network, evaluation_mode
from pannsdist.runtime.errors import UserError

TOLERANCE = 1e-4
"""Largest difference between logits that are computed in two ways; relative for logits above 1."""


def last_linear(model: nn.Layer, head: str) -> str:
    """The structured name of the linear layer that a head is, or ends with, as AST's after a layer norm."""
    layer = layer_of(model, head)
    while isinstance(layer, nn.Sequential):
        last, layer = list(layer.named_children())[-1]
        head = f"{head}.{last}"
    return head


def replace_layer(model: nn.Layer, name: str, layer: nn.Layer) -> None:
    """Put a layer in the place of the sub-layer with this structured name."""
    above, _, last = name.rpartition(".")
    owner = model
    for part in filter(None, above.split(".")):
        owner = owner._sub_layers[part]
    owner.add_sublayer(last, layer)


def layer_of(model: nn.Layer, name: str) -> nn.Layer:
    """The sub-layer with this structured name."""
    return dict(model.named_sublayers())[name]


@contextmanager
def without_head(network: Network, head: str) -> Iterator[None]:
    """Within the block the network gives the input of its head (B, E) instead of logits."""
    original = layer_of(network.model, head)
    replace_layer(network.model, head, nn.Identity())
    try:
        yield
    finally:
        replace_layer(network.model, head, original)


def head_inputs(network: Network, head: str, waveforms: np.ndarray) -> np.ndarray:
    """What a head gets (B, E) for waveforms (B, S) in evaluation mode; every layer keeps its own mode."""
    seen: list[paddle.Tensor] = []
    hook = layer_of(network.model, head).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        with evaluation_mode(network), paddle.no_grad():
            network(paddle.to_tensor(waveforms))
    finally:
        hook.remove()
    inputs: np.ndarray = seen[0].numpy()
    return inputs


def set_hidden_units(network: Network, head: str, units: int) -> None:
    """Replace a linear head by two linear layers with ReLU between them; one that has them already stays."""
    found = layer_of(network.model, head)
    if not isinstance(found, nn.Linear):
        return
    inputs, outputs = found.weight.shape
    layers = nn.Sequential(nn.Linear(inputs, units), nn.ReLU(), nn.Linear(units, outputs))
    replace_layer(network.model, head, layers)


def set_weights(network: Network, head: str, layers: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """Give a head the weights (in, out) and biases (out,) of one linear layer, or of two with ReLU between them."""
    if len(layers) == 2:
        set_hidden_units(network, head, len(layers[0][1]))
    found = layer_of(network.model, head)
    linears = [found] if isinstance(found, nn.Linear) else [part for part in found if isinstance(part, nn.Linear)]
    for layer, (weight, bias) in zip(linears, layers, strict=True):
        layer.weight.set_value(weight.astype(np.float32))
        layer.bias.set_value(bias.astype(np.float32))


def require_linear_head(network: Network, head: str, samples: int) -> int:
    """The number of inputs of a head that is one linear layer, after which nothing follows.

    Computes noise of `samples` samples once with the head and once without. Raises UserError for any other head.
    """
    layer = layer_of(network.model, head)
    if not isinstance(layer, nn.Linear) or layer.bias is None:
        raise _unsuitable(network, f"its head '{head}' is a {type(layer).__name__}, not one linear layer")
    noise = np.random.default_rng(0).normal(0.0, 0.1, (2, samples)).astype(np.float32)
    with evaluation_mode(network), paddle.no_grad():
        expected = network(paddle.to_tensor(noise))
        with without_head(network, head):
            inputs = network(paddle.to_tensor(noise))
        found = layer(inputs) if inputs.ndim == 2 and inputs.shape[1] == layer.weight.shape[0] else None
    if not paddle.isfinite(expected).all():
        raise UserError("the network gives values that are not finite for noise", "its weights may be damaged")
    if found is None or not agree(found.numpy(), expected.numpy()):
        raise _unsuitable(network, f"something is computed after its head '{head}'")
    return int(layer.weight.shape[0])


def agree(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether logits are equal up to rounding."""
    bound = TOLERANCE * np.maximum(1.0, np.abs(expected))
    return found.shape == expected.shape and bool((np.abs(found - expected) <= bound).all())


def _unsuitable(network: Network, why: str) -> UserError:
    wrong = f"only the head of this network cannot be trained by itself: {why}"
    right = (
        f"{type(network.model).__name__} can be trained with `pannsdist train`; train.freeze=[body] freezes the rest"
    )
    return UserError(wrong, right)
