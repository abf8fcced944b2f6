"""Operators that compute one value along axes, and running sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from pannsdist.inference.engines.onnx_writer.builder import (
    Builder,
    Item,
    Translated,
    Translation,
    integers,
    tensor_type,
)
from pannsdist.inference.engines.onnx_writer.operators import Operator


def _axes(op: Operator) -> list[int]:
    """The axes of a reduction; none means all."""
    return [] if op.attributes.get("reduce_all") else op.integers("axis")


def _reduce(graph: Builder, kind: str, x: Item, axes: list[int], keep: bool) -> str:
    attributes: dict[str, Any] = {"keepdims": int(keep)}
    if kind == "ReduceSum":  # in this version of ONNX the only one whose axes are an operand
        return graph.add(kind, x, integers(*axes) if axes else None, **attributes)
    return graph.add(kind, x, **attributes, **({"axes": axes} if axes else {}))


def _reduction(kind: str) -> Translation:
    """In the type of the result: the sum of booleans or of short integers is wider than they are."""

    def translate(graph: Builder, op: Operator) -> str:
        x = graph.cast(op.value("x"), op.result.dtype)
        return _reduce(graph, kind, x, _axes(op), op.attribute("keepdim"))

    return translate


def _truth(kind: str) -> Translation:
    """`any` is the largest of 0 and 1, `all` the smallest."""

    def translate(graph: Builder, op: Operator) -> str:
        found = _reduce(graph, kind, graph.cast(op.value("x"), "int32"), _axes(op), op.attribute("keepdim"))
        return graph.add("Cast", found, to=tensor_type("bool"))

    return translate


def p_norm(graph: Builder, op: Operator) -> str:
    """The 1- or 2-norm along an axis."""
    op.require("porder", 1.0, 2.0)
    axes = [] if op.attribute("asvector") else op.integers("axis")
    kind = "ReduceL1" if op.number("porder") == 1 else "ReduceL2"
    return _reduce(graph, kind, op.value("x"), axes, op.attribute("keepdim"))


def argmax(graph: Builder, op: Operator) -> str:
    """The index of the largest value along an axis."""
    op.require("flatten", False)
    keep = int(op.attribute("keepdims"))
    found = graph.add("ArgMax", op.value("x"), axis=op.integer("axis"), keepdims=keep)
    return found if op.result.dtype == "int64" else graph.add("Cast", found, to=tensor_type("int32"))


def topk(graph: Builder, op: Operator) -> Translated:
    """The largest or smallest values along an axis in their order, and their indices."""
    count, axis = integers(op.integer("k")), op.integer("axis")
    first, ordered = (int(op.attribute(name)) for name in ("largest", "sorted"))
    return tuple(graph.add_many("TopK", op.value("x"), count, results=2, axis=axis, largest=first, sorted=ordered))


def cumsum(graph: Builder, op: Operator) -> str:
    """Running sums along an axis, or over all elements in their order."""
    x: Item = op.value("x")
    if op.attribute("flatten"):
        x = graph.add("Reshape", x, integers(-1))
    axis = np.array(0 if op.attribute("flatten") else op.integer("axis"), np.int64)
    exclusive, reverse = (int(op.attributes[name]) for name in ("exclusive", "reverse"))
    return graph.add("CumSum", x, axis, exclusive=exclusive, reverse=reverse)


REDUCTIONS: dict[str, Translation] = {
    "mean": _reduction("ReduceMean"),
    "sum": _reduction("ReduceSum"),
    "max": _reduction("ReduceMax"),
    "amax": _reduction("ReduceMax"),
    "min": _reduction("ReduceMin"),
    "amin": _reduction("ReduceMin"),
    "prod": _reduction("ReduceProd"),
    "logsumexp": _reduction("ReduceLogSumExp"),
    "any": _truth("ReduceMax"),
    "all": _truth("ReduceMin"),
    "p_norm": p_norm,
    "argmax": argmax,
    "topk": topk,
    "cumsum": cumsum,
}
