"""Operators that compute each element by itself."""

from __future__ import annotations

import math

import numpy as np

from pannsdist.inference.engines.onnx_writer.builder import Builder, Translation
from pannsdist.inference.engines.onnx_writer.operators import Operator, Value

SAME = (
    *("abs", "ceil", "cos", "erf", "exp", "floor", "log", "reciprocal", "relu", "round", "sigmoid", "sign"),
    *("sin", "softsign", "sqrt", "tanh", "isnan", "isinf"),
)
"""Operators of one operand that ONNX has too, with the same meaning."""
SPELLINGS = {"isnan": "IsNaN", "isinf": "IsInf"}


def number(value: float, like: Value) -> np.ndarray:
    """A constant of shape () in the type of another tensor."""
    return np.array(value).astype(like.dtype)


def _unary(kind: str) -> Translation:
    return lambda graph, op: graph.add(kind, op.value("x"))


def _binary(kind: str) -> Translation:
    """Both operands in the type of the result."""
    return lambda graph, op: graph.add(kind, *(graph.cast(op.value(name), op.result.dtype) for name in ("x", "y")))


def _comparison(kind: str) -> Translation:
    return lambda graph, op: graph.add(kind, op.value("x"), graph.cast(op.value("y"), op.value("x").dtype))


def _logical(kind: str) -> Translation:
    return lambda graph, op: graph.add(kind, *(graph.cast(op.value(name), "bool") for name in ("x", "y")))


def not_equal(graph: Builder, op: Operator) -> str:
    """Whether two tensors differ."""
    return graph.add("Not", graph.add("Equal", op.value("x"), graph.cast(op.value("y"), op.value("x").dtype)))


def logical_not(graph: Builder, op: Operator) -> str:
    """Not x."""
    return graph.add("Not", graph.cast(op.value("x"), "bool"))


def scale(graph: Builder, op: Operator) -> str:
    """scale * x + bias, or scale * (x + bias); in the type of x."""
    x = op.value("x")
    factor, bias = graph.scalar(op.value("scale"), x.dtype), number(op.number("bias"), x)
    if not op.attribute("bias_after_scale"):
        return graph.add("Mul", graph.add("Add", x, bias), factor)
    product = graph.add("Mul", x, factor)
    return graph.add("Add", product, bias) if bias != 0 else product


def power(graph: Builder, op: Operator) -> str:
    """X to a power that is known."""
    x, exponent = op.value("x"), op.number("y")
    return graph.add("Mul", x, x) if exponent == 2 else graph.add("Pow", x, number(exponent, x))


def clip(graph: Builder, op: Operator) -> str:
    """X between two limits of one element each."""
    x = op.value("x")
    return graph.add("Clip", x, *(graph.scalar(op.value(name), x.dtype) for name in ("min", "max")))


def floor_divide(graph: Builder, op: Operator) -> str:
    """The quotient rounded down; ONNX divides integers toward zero, so their remainder is taken off first."""
    x, y = op.value("x"), graph.cast(op.value("y"), op.value("x").dtype)
    if x.dtype.startswith("float"):
        return graph.add("Floor", graph.add("Div", x, y))
    return graph.add("Div", graph.add("Sub", x, graph.add("Mod", x, y)), y)


def remainder(graph: Builder, op: Operator) -> str:
    """What `floor_divide` leaves, with the sign of the divisor."""
    x, y = op.value("x"), graph.cast(op.value("y"), op.value("x").dtype)
    if not x.dtype.startswith("float"):
        return graph.add("Mod", x, y)
    return graph.add("Sub", x, graph.add("Mul", graph.add("Floor", graph.add("Div", x, y)), y))


def cast(graph: Builder, op: Operator) -> str:
    """X in another type."""
    return graph.name_of(graph.cast(op.value("x"), op.result.dtype))


def where(graph: Builder, op: Operator) -> str:
    """Elements of x or y."""
    return graph.add("Where", op.value("condition"), op.value("x"), op.value("y"))


def masked_fill(graph: Builder, op: Operator) -> str:
    """X, or one value where the mask is true."""
    return graph.add("Where", op.value("mask"), graph.cast(op.value("value"), op.value("x").dtype), op.value("x"))


def add_n(graph: Builder, op: Operator) -> str:
    """The sum of several tensors."""
    return graph.add("Sum", *op.values("inputs"))


def _logarithm(base: float) -> Translation:
    return lambda graph, op: graph.add(
        "Mul", graph.add("Log", op.value("x")), number(1 / math.log(base), op.value("x"))
    )


def log1p(graph: Builder, op: Operator) -> str:
    """log(1 + x)."""
    return graph.add("Log", graph.add("Add", op.value("x"), number(1, op.value("x"))))


def square(graph: Builder, op: Operator) -> str:
    """x * x."""
    return graph.add("Mul", op.value("x"), op.value("x"))


def rsqrt(graph: Builder, op: Operator) -> str:
    """1 / sqrt(x)."""
    return graph.add("Reciprocal", graph.add("Sqrt", op.value("x")))


def isfinite(graph: Builder, op: Operator) -> str:
    """Whether x is a number."""
    return graph.add("Not", graph.add("Or", graph.add("IsNaN", op.value("x")), graph.add("IsInf", op.value("x"))))


POINTWISE: dict[str, Translation] = {
    **{name: _unary(SPELLINGS.get(name, name.capitalize())) for name in SAME},
    **{name.lower(): _binary(kind) for name, kind in {"add": "Add", "subtract": "Sub", "multiply": "Mul"}.items()},
    "divide": _binary("Div"),
    "maximum": _binary("Max"),
    "minimum": _binary("Min"),
    "elementwise_pow": _binary("Pow"),
    "floor_divide": floor_divide,
    "remainder": remainder,
    "equal": _comparison("Equal"),
    "not_equal": not_equal,
    "greater_than": _comparison("Greater"),
    "greater_equal": _comparison("GreaterOrEqual"),
    "less_than": _comparison("Less"),
    "less_equal": _comparison("LessOrEqual"),
    "logical_and": _logical("And"),
    "logical_or": _logical("Or"),
    "logical_xor": _logical("Xor"),
    "logical_not": logical_not,
    "scale": scale,
    "pow": power,
    "clip": clip,
    "cast": cast,
    "where": where,
    "masked_fill": masked_fill,
    "add_n": add_n,
    "log10": _logarithm(10),
    "log2": _logarithm(2),
    "log1p": log1p,
    "square": square,
    "rsqrt": rsqrt,
    "isfinite": isfinite,
}
