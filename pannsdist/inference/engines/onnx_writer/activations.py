"""Activation functions."""

from __future__ import annotations

import math

from pannsdist.inference.engines.onnx_writer.builder import Builder, Translation
from pannsdist.inference.engines.onnx_writer.operators import Operator
from pannsdist.inference.engines.onnx_writer.pointwise import number


def gelu(graph: Builder, op: Operator) -> str:
    """x / 2 * (1 + erf(x / sqrt(2))), or its approximation by tanh (Hendrycks and Gimpel, arXiv 1606.08415)."""
    x = op.value("x")
    if op.attribute("approximate"):
        cube = graph.add("Mul", graph.add("Mul", x, x), graph.add("Mul", x, number(0.044715, x)))
        inner = graph.add("Mul", graph.add("Add", x, cube), number(math.sqrt(2 / math.pi), x))
        curve = graph.add("Tanh", inner)
    else:
        curve = graph.add("Erf", graph.add("Mul", x, number(math.sqrt(0.5), x)))
    return graph.add("Mul", graph.add("Mul", x, number(0.5, x)), graph.add("Add", curve, number(1, x)))


def swish(graph: Builder, op: Operator) -> str:
    """x * sigmoid(x)."""
    return graph.add("Mul", op.value("x"), graph.add("Sigmoid", op.value("x")))


def softplus(graph: Builder, op: Operator) -> str:
    """log(1 + exp(beta * x)) / beta; Paddle's threshold only avoids an overflow that ONNX does not have."""
    x, beta = op.value("x"), op.number("beta")
    return graph.add("Div", graph.add("Softplus", graph.add("Mul", x, number(beta, x))), number(beta, x))


def mish(graph: Builder, op: Operator) -> str:
    """x * tanh(softplus(x))."""
    return graph.add("Mul", op.value("x"), graph.add("Tanh", graph.add("Softplus", op.value("x"))))


def logsigmoid(graph: Builder, op: Operator) -> str:
    """-softplus(-x)."""
    return graph.add("Neg", graph.add("Softplus", graph.add("Neg", op.value("x"))))


def relu6(graph: Builder, op: Operator) -> str:
    """X between 0 and 6."""
    return graph.add("Clip", op.value("x"), number(0, op.value("x")), number(6, op.value("x")))


def hardtanh(graph: Builder, op: Operator) -> str:
    """X between two limits."""
    x = op.value("x")
    return graph.add("Clip", x, number(op.number("t_min"), x), number(op.number("t_max"), x))


def hardsigmoid(graph: Builder, op: Operator) -> str:
    """slope * x + offset, between 0 and 1."""
    return graph.add("HardSigmoid", op.value("x"), alpha=op.number("slope"), beta=op.number("offset"))


def hardswish(graph: Builder, op: Operator) -> str:
    """x * min(max(x + 3, 0), 6) / 6."""
    return graph.add("HardSwish", op.value("x"))


def leaky_relu(graph: Builder, op: Operator) -> str:
    """X, or a small multiple of it below 0."""
    return graph.add("LeakyRelu", op.value("x"), alpha=op.number("negative_slope"))


def elu(graph: Builder, op: Operator) -> str:
    """X, or alpha * (exp(x) - 1) below 0."""
    return graph.add("Elu", op.value("x"), alpha=op.number("alpha"))


def celu(graph: Builder, op: Operator) -> str:
    """X, or alpha * (exp(x / alpha) - 1) below 0."""
    return graph.add("Celu", op.value("x"), alpha=op.number("alpha"))


def selu(graph: Builder, op: Operator) -> str:
    """A scaled `elu`."""
    return graph.add("Selu", op.value("x"), alpha=op.number("alpha"), gamma=op.number("scale"))


def prelu(graph: Builder, op: Operator) -> str:
    """X, or a learned multiple of it below 0, one for all or one for each channel."""
    op.require("data_format", "NCHW")
    slopes = op.content("alpha").reshape(-1, *[1] * (len(op.value("x").shape) - 2))
    return graph.add("PRelu", op.value("x"), slopes)


def softmax(graph: Builder, op: Operator) -> str:
    """exp(x) / sum(exp(x)) along an axis."""
    return graph.add("Softmax", op.value("x"), axis=op.integer("axis"))


def log_softmax(graph: Builder, op: Operator) -> str:
    """The logarithm of softmax along an axis."""
    return graph.add("LogSoftmax", op.value("x"), axis=op.integer("axis"))


ACTIVATIONS: dict[str, Translation] = {
    "gelu": gelu,
    "swish": swish,
    "silu": swish,
    "softplus": softplus,
    "mish": mish,
    "logsigmoid": logsigmoid,
    "relu6": relu6,
    "hardtanh": hardtanh,
    "hardsigmoid": hardsigmoid,
    "hardswish": hardswish,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "celu": celu,
    "selu": selu,
    "prelu": prelu,
    "softmax": softmax,
    "log_softmax": log_softmax,
}
