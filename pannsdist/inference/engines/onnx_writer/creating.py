"""Operators that make tensors of known content, or of a shape that is computed."""

from __future__ import annotations

import numpy as np

from pannsdist.inference.engines.onnx_writer.builder import Builder, Translated, Translation, integers
from pannsdist.inference.engines.onnx_writer.operators import Operator


def full(_: Builder, op: Operator) -> Translated:
    """One number everywhere."""
    return np.full(op.integers("shape"), op.number("value")).astype(op.result.dtype)


def full_int_array(_: Builder, op: Operator) -> Translated:
    """Integers that are known."""
    return np.array(op.integers("value"), op.result.dtype)


def assign_value(_: Builder, op: Operator) -> Translated:
    """Numbers that are known."""
    return np.array(op.attribute("values")).reshape(op.integers("shape")).astype(op.result.dtype)


def full_like(graph: Builder, op: Operator) -> Translated:
    """One number in the shape of x."""
    return graph.add("Expand", graph.scalar(op.value("value"), op.result.dtype), graph.add("Shape", op.value("x")))


def full_batch_size_like(graph: Builder, op: Operator) -> Translated:
    """One number in a known shape, but for one size, which is that of an axis of the input."""
    shape, place, axis = op.integers("shape"), op.integer("output_dim_idx"), op.integer("input_dim_idx")
    size = graph.add("Shape", op.value("input"), start=axis, end=axis + 1)
    sizes = graph.add("Concat", integers(*shape[:place]), size, integers(*shape[place + 1 :]), axis=0)
    return graph.add("Expand", np.array(op.number("value")).astype(op.result.dtype), sizes)


def full_with_tensor(graph: Builder, op: Operator) -> Translated:
    """One number in a computed shape."""
    return graph.add("Expand", graph.scalar(op.value("value"), op.result.dtype), graph.cast(op.value("shape"), "int64"))


def arange(graph: Builder, op: Operator) -> Translated:
    """Numbers in equal steps."""
    return graph.add("Range", *(graph.scalar(op.value(name), op.result.dtype) for name in ("start", "end", "step")))


CREATING: dict[str, Translation] = {
    "full": full,
    "full_int_array": full_int_array,
    "assign_value": assign_value,
    "assign_value_": assign_value,
    "full_like": full_like,
    "full_batch_size_like": full_batch_size_like,
    "full_with_tensor": full_with_tensor,
    "arange": arange,
}
