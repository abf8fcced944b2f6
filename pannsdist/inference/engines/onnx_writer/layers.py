"""Products, convolutions and pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from pannsdist.inference.engines.onnx_writer.builder import Builder, Item, Translation
from pannsdist.inference.engines.onnx_writer.operators import Operator, Value

CHANNELS_FIRST = ("NCL", "NCHW", "NCDHW", "AnyLayout")


def matmul(graph: Builder, op: Operator) -> str:
    """A product of matrices, each transposed or not."""
    transposed = (op.attributes.get("transpose_x"), op.attributes.get("transpose_y"))
    operands = (_turned(graph, op.value(name), turn) for name, turn in zip(("x", "y"), transposed, strict=True))
    return graph.add("MatMul", *operands)


def _turned(graph: Builder, value: Value, turn: bool | None) -> Item:
    rank = len(value.shape)
    if not turn or rank < 2:
        return value
    return graph.add("Transpose", value, perm=[*range(rank - 2), rank - 1, rank - 2])


def einsum(graph: Builder, op: Operator) -> str:
    """A sum of products in Einstein's notation."""
    return graph.add("Einsum", *op.values("x"), equation=op.attribute("equation"))


def window(op: Operator, axes: int) -> dict[str, Any]:
    """Padding of a convolution or pooling over so many axes, in ONNX's attributes."""
    op.require("data_format", *CHANNELS_FIRST)
    algorithm = op.attributes.get("padding_algorithm", "EXPLICIT")
    if algorithm == "SAME":
        return {"auto_pad": "SAME_UPPER"}
    given = [0] * axes if algorithm == "VALID" else op.integers("paddings")
    before, after = (given, given) if len(given) == axes else (given[::2], given[1::2])
    return {"pads": [*before, *after]}


def convolution(graph: Builder, op: Operator) -> str:
    """A convolution over one to three axes, in groups or not."""
    axes = len(op.value("input").shape) - 2
    strides, dilations, groups = op.integers("strides"), op.integers("dilations"), op.integer("groups")
    attributes = {"strides": strides, "dilations": dilations, "group": groups, **window(op, axes)}
    return graph.add("Conv", op.value("input"), op.value("filter"), **attributes)


def transposed_convolution(graph: Builder, op: Operator) -> str:
    """The transpose of a convolution."""
    axes = len(op.value("x").shape) - 2
    op.require("padding_algorithm", "EXPLICIT")
    if op.has("output_size") and len(op.content("output_size")):
        raise op.cannot("the size of its result is given")
    attributes = {"strides": op.integers("strides"), "dilations": op.integers("dilations"), **window(op, axes)}
    if len(op.attribute("output_padding")):
        attributes["output_padding"] = op.integers("output_padding")
    return graph.add("ConvTranspose", op.value("x"), op.value("filter"), group=op.integer("groups"), **attributes)


def pool(graph: Builder, op: Operator) -> str:
    """The mean or the largest value of windows."""
    x, kernel = op.value("x"), op.integers("kernel_size")
    op.require("ceil_mode", False)
    if op.attributes.get("global_pooling"):
        return _over_all(graph, op, x, range(2, len(x.shape)))
    if op.attribute("adaptive"):
        return _adaptive(graph, op, kernel)
    attributes = {"kernel_shape": kernel, "strides": op.integers("strides"), **window(op, len(kernel))}
    if _takes_largest(op):
        return graph.add("MaxPool", x, **attributes)
    return graph.add("AveragePool", x, count_include_pad=int(not op.attribute("exclusive")), **attributes)


def _adaptive(graph: Builder, op: Operator, wanted: list[int]) -> str:
    """A result of this size: over the whole axis for 1, else in equal windows of an axis whose size is known."""
    x = op.value("x")
    op.require("data_format", *CHANNELS_FIRST)
    kernel = [1 if number == 1 else size // number for size, number in zip(x.shape[2:], wanted, strict=True)]
    for size, number in zip(x.shape[2:], wanted, strict=True):
        if number != 1 and (size < 0 or size % number):
            raise op.cannot(f"{number} windows of an axis of size {size if size >= 0 else 'open'} differ in width")
    found: Item = x
    if any(size > 1 for size in kernel):
        kind = "MaxPool" if _takes_largest(op) else "AveragePool"
        found = graph.add(kind, x, kernel_shape=kernel, strides=kernel)
    return _over_all(graph, op, found, [axis + 2 for axis, number in enumerate(wanted) if number == 1])


def _over_all(graph: Builder, op: Operator, x: Item, axes: Any) -> str:
    kind = "ReduceMax" if _takes_largest(op) else "ReduceMean"
    return graph.add(kind, x, axes=list(axes), keepdims=1) if axes else graph.name_of(x)


def _takes_largest(op: Operator) -> bool:
    return bool(op.attributes.get("pooling_type", "max") == "max")


def interpolate(graph: Builder, op: Operator) -> str:
    """A tensor at another size, by a factor or to a size."""
    op.require("data_format", *CHANNELS_FIRST)
    x, kind = op.value("x"), op.attribute("interp_method")
    if op.has("size_tensor") or op.has("scale_tensor"):
        raise op.cannot("its size is computed from the waveform")
    if op.attribute("align_corners"):
        place = "align_corners"
    else:
        place = "asymmetric" if kind == "nearest" or op.integer("align_mode") == 1 else "half_pixel"
    mode = {"nearest": "nearest", "linear": "linear", "bilinear": "linear"}.get(kind)
    if mode is None:
        raise op.cannot(f"the method is {kind}")
    attributes = {"mode": mode, "coordinate_transformation_mode": place, "nearest_mode": "floor"}
    axes = len(x.shape) - 2
    if op.has("out_size") or not op.attribute("scale"):
        wanted = [op.attribute(f"out_{axis}") for axis in "dhw"[-axes:]]
        size: Item = graph.cast(op.value("out_size"), "int64") if op.has("out_size") else np.array(wanted, np.int64)
        sizes = graph.add("Concat", graph.add("Shape", x, end=2), size, axis=0)
        return graph.add("Resize", x, None, None, sizes, **attributes)
    return graph.add("Resize", x, None, np.array([1, 1, *op.attribute("scale")], np.float32), **attributes)


LAYERS: dict[str, Translation] = {
    "matmul": matmul,
    "bmm": matmul,
    "einsum": einsum,
    "conv2d": convolution,
    "depthwise_conv2d": convolution,
    "conv3d": convolution,
    "conv2d_transpose": transposed_convolution,
    "depthwise_conv2d_transpose": transposed_convolution,
    "pool2d": pool,
    "max_pool2d_with_index": pool,
    "nearest_interp": interpolate,
    "linear_interp": interpolate,
    "bilinear_interp": interpolate,
}
