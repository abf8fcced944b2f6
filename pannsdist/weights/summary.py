"""Human-readable summary of a weight file."""

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
    """Summary of a weight file; `head` and `classes` are those of its last layer with weight and bias."""

    format: str
    layout: str
    tensors: int
    parameters: int
    not_trainable: int
    head: str
    classes: int
    first: tuple[str, ...]

    def __str__(self) -> str:
        head = f"{self.head}, {self.classes} classes" if self.head else "none found: no layer with weight and bias"
        rows = {
            "format": self.format,
            "layout": self.layout,
            "tensors": str(self.tensors),
            "parameters": f"{self.parameters:,} trainable, {self.not_trainable:,} not trainable",
            "head": head,
            "first keys": "\n            ".join(self.first),
        }
        return "\n".join(f"{name:<11} {text}" for name, text in rows.items())


def summarize(weight_file: WeightFile) -> Summary:
    """Summarize a weight file."""
    state = weight_file.state
    trained = sum(value.size for key, value in state.items() if is_trainable(key))
    head, classes = head_of(weight_file)
    first = tuple(described(key, value) for key, value in list(state.items())[:FIRST])
    not_trainable = sum(value.size for value in state.values()) - trained
    return Summary(weight_file.format, weight_file.layout, len(state), trained, not_trainable, head, classes, first)


def is_trainable(key: str) -> bool:
    """Whether a tensor is trainable: neither a batch norm statistic nor part of PANNs' fixed front end."""
    return key.rpartition(".")[2] not in STATISTICS and not key.startswith(FRONT_END)


def head_of(weight_file: WeightFile) -> tuple[str, int]:
    """Name and class count of the head: that of a wrapper, else the last layer with weight and bias."""
    state = weight_file.state
    candidates = [key.removesuffix(".weight") for key in state if is_head(key, weight_file)]
    wrapper_heads = [name for name in FOREIGN_HEADS if name in candidates]
    if not candidates:
        return "", 0
    name = wrapper_heads[0] if wrapper_heads else candidates[-1]
    return name, state[f"{name}.bias"].size


def is_head(key: str, weight_file: WeightFile) -> bool:
    """Whether a key is a weight of at least two axes with a matching bias."""
    value, bias = weight_file.state[key], weight_file.state.get(f"{key.removesuffix('.weight')}.bias")
    if not key.endswith(".weight") or value.ndim < 2 or bias is None:
        return False
    return bias.shape in {(value.shape[0],), (value.shape[-1],)}


def described(key: str, value: Array) -> str:
    """A key with its type and shape."""
    return f"{key}  {value.dtype} {list(value.shape)}" + (" (empty)" if math.prod(value.shape) == 0 else "")
