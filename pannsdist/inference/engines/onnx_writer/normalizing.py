"""Normalization, dropout and padding."""

from __future__ import annotations

import numpy as np

from pannsdist.inference.engines.onnx_writer.builder import Builder, Item, Translation, integers
from pannsdist.inference.engines.onnx_writer.layers import CHANNELS_FIRST
from pannsdist.inference.engines.onnx_writer.operators import Operator
from pannsdist.inference.engines.onnx_writer.pointwise import number


def batch_norm(graph: Builder, op: Operator) -> str:
    """By the statistics of training."""
    op.require("data_format", *CHANNELS_FIRST, "NC")
    op.require("is_test", True)
    channels = op.content("mean").shape
    scale = op.value("scale") if op.has("scale") else np.ones(channels, np.float32)
    bias = op.value("bias") if op.has("bias") else np.zeros(channels, np.float32)
    operands = op.value("x"), scale, bias, op.value("mean"), op.value("variance")
    return graph.add("BatchNormalization", *operands, epsilon=op.number("epsilon"))


def layer_norm(graph: Builder, op: Operator) -> str:
    """By the statistics of each item's last axes."""
    x, first = op.value("x"), op.integer("begin_norm_axis")
    sizes = x.shape[first:]
    if -1 in sizes:
        raise op.cannot("the size of what it normalizes is known only when it runs")
    scale = op.content("scale").reshape(sizes) if op.has("scale") else np.ones(sizes, np.float32)
    bias = op.content("bias").reshape(sizes) if op.has("bias") else None
    return graph.add("LayerNormalization", x, scale, bias, axis=first, epsilon=op.number("epsilon"))


def instance_norm(graph: Builder, op: Operator) -> str:
    """By the statistics of each channel of each item."""
    channels = op.value("x").shape[1]
    scale = op.value("scale") if op.has("scale") else np.ones(channels, np.float32)
    bias = op.value("bias") if op.has("bias") else np.zeros(channels, np.float32)
    return graph.add("InstanceNormalization", op.value("x"), scale, bias, epsilon=op.number("epsilon"))


def group_norm(graph: Builder, op: Operator) -> str:
    """By the statistics of groups of channels: the normalization of instances, with a group as a channel."""
    op.require("data_format", *CHANNELS_FIRST)
    x, groups = op.value("x"), op.integer("groups")
    grouped = graph.add("Reshape", x, integers(0, groups, -1))
    one, zero = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    normal = graph.add("InstanceNormalization", grouped, one, zero, epsilon=op.number("epsilon"))
    found = graph.add("Reshape", normal, graph.add("Shape", x))
    for kind, name in (("Mul", "scale"), ("Add", "bias")):
        if op.has(name):
            found = graph.add(kind, found, op.content(name).reshape(-1, *[1] * (len(x.shape) - 2)))
    return found


def dropout(graph: Builder, op: Operator) -> str:
    """Nothing in use; one of its two modes then has to scale."""
    op.require("is_test", True)
    x = op.value("x")
    if op.attribute("mode") == "upscale_in_train":
        return graph.name_of(x)
    return graph.add("Mul", x, number(1 - op.number("p"), x))


def pad3d(graph: Builder, op: Operator) -> str:
    """Padding of all axes but those of batch and channels; Paddle names the last first."""
    given = op.integers("paddings")
    pairs = list(zip(given[::2], given[1::2], strict=True))[::-1]
    channels_first = op.attribute("data_format") in CHANNELS_FIRST
    return _pad(graph, op, [(0, 0), (0, 0), *pairs] if channels_first else [(0, 0), *pairs, (0, 0)])


def pad(graph: Builder, op: Operator) -> str:
    """Padding of every axis, with one value."""
    given = op.integers("paddings")
    return _pad(graph, op, list(zip(given[::2], given[1::2], strict=True)))


def _pad(graph: Builder, op: Operator, pairs: list[tuple[int, int]]) -> str:
    x = op.value("x")
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
    mode = op.attributes.get("mode", "constant")
    if mode not in modes:
        raise op.cannot(f"the mode is {mode}")
    value: Item = number(op.number("pad_value"), x) if mode == "constant" else None
    amounts = integers(*(before for before, _ in pairs), *(after for _, after in pairs))
    return graph.add("Pad", x, amounts, value, mode=modes[mode])


NORMALIZING: dict[str, Translation] = {
    "batch_norm_": batch_norm,
    "layer_norm": layer_norm,
    "instance_norm": instance_norm,
    "group_norm": group_norm,
    "dropout": dropout,
    "pad3d": pad3d,
    "pad": pad,
}
