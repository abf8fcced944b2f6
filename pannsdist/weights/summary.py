"""What is in a weight file, for a person to read."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pannsdist.weights.formats.arrays import Array
from pannsdist.weights.layouts import FOREIGN_HEADS, FRONT_END
from pannsdist.weights.loading import COUNTER, RENAMED
from pannsdist.weights.weight_file import WeightFile

FIRST = 8
STATISTICS = {*RENAMED, *RENAMED.values(), COUNTER}


@dataclass(frozen=True)
class Summary:
    """The facts of a weight file; `head` and `classes` are of its last matrix or convolution with a bias."""

    format: str
    layout: str
    tensors: int
    parameters: int
    beside: int
    head: str
    classes: int
    first: tuple[str, ...]

    def __str__(self) -> str:
        head = f"{self.head}, {self.classes} classes" if self.head else "none found: no layer with weight and bias"
        rows = {
            "format": self.format,
            "layout": self.layout,
            "tensors": str(self.tensors),
            "parameters": f"{self.parameters:,} that train, {self.beside:,} values beside them",
            "head": head,
            "first keys": "\n            ".join(self.first),
        }
        return "\n".join(f"{name:<11} {text}" for name, text in rows.items())


def summary(weight_file: WeightFile) -> Summary:
    """What a weight file holds."""
    state = weight_file.state
    trained = sum(value.size for key, value in state.items() if is_trained(key))
    head, classes = head_of(weight_file)
    first = tuple(described(key, value) for key, value in list(state.items())[:FIRST])
    beside = sum(value.size for value in state.values()) - trained
    return Summary(weight_file.format, weight_file.layout, len(state), trained, beside, head, classes, first)


def is_trained(key: str) -> bool:
    """Whether a tensor is trained: neither statistics of batch norm nor PANNs' fixed front end."""
    return key.rpartition(".")[2] not in STATISTICS and not key.startswith(FRONT_END)


def head_of(weight_file: WeightFile) -> tuple[str, int]:
    """The layer that gives the classes, and their number: a wrapping's head, else the last with a weight and a bias."""
    state = weight_file.state
    candidates = [key.removesuffix(".weight") for key in state if is_head(key, weight_file)]
    wrapping = [name for name in FOREIGN_HEADS if name in candidates]
    if not candidates:
        return "", 0
    name = wrapping[0] if wrapping else candidates[-1]
    return name, state[f"{name}.bias"].size


def is_head(key: str, weight_file: WeightFile) -> bool:
    """Whether a key is a weight of two axes or more with a bias for each output."""
    value, bias = weight_file.state[key], weight_file.state.get(f"{key.removesuffix('.weight')}.bias")
    if not key.endswith(".weight") or value.ndim < 2 or bias is None:
        return False
    return bias.shape in {(value.shape[0],), (value.shape[-1],)}


def described(key: str, value: Array) -> str:
    """A key with type and shape."""
    return f"{key}  {value.dtype} {list(value.shape)}" + (" (empty)" if math.prod(value.shape) == 0 else "")
