"""The family of a network: what decides which engine is the fastest for it."""

from __future__ import annotations

from paddle import nn

DEPTHWISE, CONVOLUTIONAL, OTHER = "depthwise", "convolutional", "other"


def family(network: nn.Layer) -> str:
    """`depthwise` with grouped convolutions, else `convolutional` if half of its weights are in convolutions of images.

    `other` is the rest, such as transformers and networks on waveforms.
    """
    convolutions = [layer for layer in network.sublayers(include_self=True) if isinstance(layer, nn.Conv2D)]
    if any(layer._groups > 1 for layer in convolutions):
        return DEPTHWISE
    total = sum(int(one.size) for one in network.parameters())
    inside = sum(int(layer.weight.size) for layer in convolutions)
    return CONVOLUTIONAL if inside and 2 * inside >= total else OTHER
