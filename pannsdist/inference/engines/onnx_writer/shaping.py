"""Operators that move elements: shapes, slices, joins and indices."""

from __future__ import annotations

import numpy as np

from pannsdist.inference.engines.onnx_writer.builder import Builder, Item, Translated, Translation, integers
from pannsdist.inference.engines.onnx_writer.operators import Operator, Value


def same(_: Builder, op: Operator) -> Translated:
    """X itself."""
    x = op.value("x")
    return x.name if x.content is None else x.content


def shape_operand(graph: Builder, op: Operator, name: str) -> Item:
    """A shape as ONNX wants it: int64, known or computed."""
    return graph.cast(op.value(name), "int64")


def reshape(graph: Builder, op: Operator) -> Translated:
    """Both libraries read 0 as 'this size stays' and -1 as 'the rest'."""
    return graph.add("Reshape", op.value("x"), shape_operand(graph, op, "shape"))


def flatten(graph: Builder, op: Operator) -> Translated:
    """Several axes as one."""
    x, rank = op.value("x"), len(op.value("x").shape)
    first, last = (op.integer(name) % max(rank, 1) for name in ("start_axis", "stop_axis"))
    after = [graph.add("Shape", x, start=last + 1)] if last + 1 < rank else []
    return graph.add("Reshape", x, graph.add("Concat", integers(*[0] * first, -1), *after, axis=0))


def unsqueeze(graph: Builder, op: Operator) -> Translated:
    """New axes of size 1; Paddle adds one after the other, ONNX all at once."""
    axes: list[int] = []
    rank = len(op.value("x").shape)
    for number, axis in enumerate(op.integers("axis")):
        place = axis if axis >= 0 else axis + rank + number + 1
        axes = [*(other + (other >= place) for other in axes), place]
    return graph.add("Unsqueeze", op.value("x"), integers(*sorted(axes)))


def squeeze(graph: Builder, op: Operator) -> Translated:
    """Without some axes; Paddle keeps one whose size is not 1, but leaves out one whose size is open."""
    x, named = op.value("x"), op.integers("axis")
    if not named and -1 in x.shape:
        raise op.cannot("it removes every axis of size 1, and some sizes are open")
    places = [axis % len(x.shape) for axis in named] or range(len(x.shape))
    axes = [axis for axis in places if x.shape[axis] in (1, -1)]
    if len(x.shape) - len(axes) != len(op.result.shape):
        raise op.cannot("the size of an axis that it removes is open")
    return graph.add("Squeeze", x, integers(*axes)) if axes else graph.name_of(x)


def transpose(graph: Builder, op: Operator) -> Translated:
    """Axes in another order."""
    return graph.add("Transpose", op.value("x"), perm=op.integers("perm"))


def concat(graph: Builder, op: Operator) -> Translated:
    """Tensors joined along an axis."""
    return graph.add("Concat", *op.values("x"), axis=op.integer("axis"))


def stack(graph: Builder, op: Operator) -> Translated:
    """Tensors joined along a new axis; of known ones the result is known."""
    axis, values = op.integer("axis"), op.values("x")
    known = [value.content for value in values if value.content is not None]
    if len(known) == len(values):
        return np.stack(known, axis)
    return graph.add("Concat", *(graph.add("Unsqueeze", value, integers(axis)) for value in values), axis=axis)


def slices(graph: Builder, op: Operator) -> Translated:
    """A range along some axes; `decrease_axis` names those that are dropped."""
    bounds = [shape_operand(graph, op, name) for name in ("starts", "ends")]
    steps = [shape_operand(graph, op, "strides")] if op.has("strides") else []
    found = graph.add("Slice", op.value(_first(op)), *bounds, integers(*op.integers("axes")), *steps)
    dropped = op.attributes.get("decrease_axis", [])
    return graph.add("Squeeze", found, integers(*dropped)) if dropped else found


def _first(op: Operator) -> str:
    return "input" if "input" in op.inputs else "x"


def flip(graph: Builder, op: Operator) -> Translated:
    """Axes backwards."""
    axes = op.integers("axis")
    least = np.iinfo(np.int64).min
    bounds = integers(*[-1] * len(axes)), integers(*[least] * len(axes))
    return graph.add("Slice", op.value("x"), *bounds, integers(*axes), integers(*[-1] * len(axes)))


def roll(graph: Builder, op: Operator) -> Translated:
    """What leaves an axis at one end comes in at the other."""
    found: Item = op.value("x")
    for shift, axis in zip(op.integers("shifts"), op.integers("axis"), strict=True):
        last = graph.add("Slice", found, integers(-shift), integers(np.iinfo(np.int64).max), integers(axis))
        rest = graph.add("Slice", found, integers(0), integers(-shift), integers(axis))
        found = graph.add("Concat", last, rest, axis=axis)
    return graph.name_of(found)


def unbind(graph: Builder, op: Operator) -> Translated:
    """A list of what lies along an axis, without it."""
    x, axis = op.value("input"), op.integer("axis")
    count = x.shape[axis]
    if count < 0:
        raise op.cannot("the number of parts is known only when it runs")
    parts = graph.add_many("Split", x, integers(*[1] * count), results=count, axis=axis)
    return [graph.add("Squeeze", part, integers(axis)) for part in parts]


def split(graph: Builder, op: Operator) -> Translated:
    """A list of parts along an axis: a number of equal ones, or of these sizes."""
    x, axis = op.value("x"), op.integer("axis")
    size = x.shape[axis]
    sizes = op.integers("sections") if "sections" in op.inputs else [size // op.integer("num")] * op.integer("num")
    if size < 0 and (-1 in sizes or "sections" not in op.inputs):
        raise op.cannot("the size of a part is known only when it runs")
    sizes = [part if part >= 0 else size - sum(sizes) - 1 for part in sizes]
    return graph.add_many("Split", x, integers(*sizes), results=len(sizes), axis=axis)


def expand(graph: Builder, op: Operator) -> Translated:
    """Axes of size 1 repeated; where Paddle says -1 for 'as it is', ONNX says 1."""
    return graph.add("Expand", op.value("x"), graph.add("Max", shape_operand(graph, op, "shape"), integers(1)))


def expand_as(graph: Builder, op: Operator) -> Translated:
    """X in the shape of y."""
    return graph.add("Expand", op.value("x"), graph.add("Shape", op.value("y")))


def tile(graph: Builder, op: Operator) -> Translated:
    """The whole tensor repeated; both are filled up from the front to the same number of axes."""
    x, repeats = op.value("x"), op.integers("repeat_times")
    found: Item = x
    if len(repeats) > len(x.shape):
        found = graph.add("Unsqueeze", x, integers(*range(len(repeats) - len(x.shape))))
    return graph.add("Tile", found, integers(*[1] * (len(x.shape) - len(repeats)), *repeats))


def rows(graph: Builder, op: Operator) -> Translated:
    """Rows by their indices along an axis."""
    return graph.add("Gather", op.value("x"), op.value("index"), axis=op.integer("axis"))


def embedding(graph: Builder, op: Operator) -> Translated:
    """Rows of a table."""
    op.require("padding_idx", -1)
    return graph.add("Gather", op.value("weight"), op.value("x"))


def pixel_shuffle(graph: Builder, op: Operator) -> Translated:
    """Channels spread over two axes."""
    op.require("data_format", "NCHW")
    return graph.add("DepthToSpace", op.value("x"), blocksize=op.integer("upscale_factor"), mode="CRD")


def take_along_axis(graph: Builder, op: Operator) -> Translated:
    """An element for each index, along an axis."""
    return graph.add("GatherElements", op.value("arr"), op.value("indices"), axis=op.integer("axis"))


def shape(graph: Builder, op: Operator) -> Translated:
    """The sizes of a tensor, int64; int32 from an older operator."""
    x = op.value("input")
    if -1 not in x.shape:
        return np.array(x.shape, op.result.dtype)
    return graph.name_of(graph.cast(Value(graph.add("Shape", x), (), "int64"), op.result.dtype))


def numel(graph: Builder, op: Operator) -> Translated:
    """The number of elements."""
    return graph.add("Size", op.value("x"))


def _triangle(upper: int) -> Translation:
    return lambda graph, op: graph.add("Trilu", op.value("x"), np.array(op.integer("diagonal"), np.int64), upper=upper)


SHAPING: dict[str, Translation] = {
    "assign": same,
    "reshape": reshape,
    "flatten": flatten,
    "unsqueeze": unsqueeze,
    "squeeze": squeeze,
    "transpose": transpose,
    "concat": concat,
    "stack": stack,
    "slice": slices,
    "strided_slice": slices,
    "flip": flip,
    "roll": roll,
    "unbind": unbind,
    "split": split,
    "split_with_num": split,
    "expand": expand,
    "expand_as": expand_as,
    "tile": tile,
    "gather": rows,
    "index_select": rows,
    "embedding": embedding,
    "pixel_shuffle": pixel_shuffle,
    "take_along_axis": take_along_axis,
    "shape": shape,
    "shape64": shape,
    "numel": numel,
    "tril": _triangle(0),
    "triu": _triangle(1),
}
