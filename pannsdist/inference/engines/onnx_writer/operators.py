"""What a translation gets: one operator of Paddle's program, its operands and its attributes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from pannsdist.inference.engines.graph import CannotCompile


@dataclasses.dataclass(frozen=True)
class Value:
    """A tensor: its name in the ONNX graph, or its content where that is known; -1 in `shape` is an open size."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    content: np.ndarray | None = None


WORKS = "Paddle Inference runs what ONNX cannot", "use --engine paddle, or export --format paddle"
"""What to do instead, and the next command."""
OUTPUT = "output"
"""The name of the only output of a graph."""

Operand = Value | tuple[Value, ...] | None
"""A tensor, a list of tensors, or an optional one that is missing."""


@dataclasses.dataclass(frozen=True)
class Operator:
    """An operator of the program. Its methods raise CannotCompile where an operand is not what a translation needs."""

    name: str
    inputs: Mapping[str, Operand]
    attributes: Mapping[str, Any]
    result: Value
    """Shape and type of the first result."""

    def has(self, name: str) -> bool:
        """Whether an optional operand is given."""
        return self.inputs.get(name) not in (None, ())

    def value(self, name: str) -> Value:
        """The operand of this name, one tensor."""
        operand = self.inputs.get(name)
        if isinstance(operand, Value):
            return operand
        raise self.cannot(f"its operand {name} is not one tensor")

    def values(self, name: str) -> tuple[Value, ...]:
        """The operand of this name, a list of tensors."""
        operand = self.inputs.get(name)
        if isinstance(operand, tuple):
            return operand
        raise self.cannot(f"its operand {name} is not a list of tensors")

    def content(self, name: str) -> np.ndarray:
        """What an operand holds; it must not depend on the waveform."""
        content = self.value(name).content
        if content is None:
            raise self.cannot(f"its operand {name} is computed from the waveform")
        return content

    def attribute(self, name: str) -> Any:
        """An attribute that this version of Paddle must have written."""
        if name not in self.attributes:
            raise self.cannot(f"it has no attribute {name}")
        return self.attributes[name]

    def integers(self, name: str) -> list[int]:
        """Integers that Paddle keeps in an attribute or in an operand."""
        found = self.attributes[name] if name in self.attributes else self.content(name)
        return [int(number) for number in np.atleast_1d(np.asarray(found))]

    def integer(self, name: str) -> int:
        """One integer of an attribute or of an operand."""
        return self.integers(name)[0]

    def number(self, name: str) -> float:
        """One number of an attribute or of an operand."""
        found = self.attributes[name] if name in self.attributes else self.content(name)
        return float(np.asarray(found).reshape(-1)[0])

    def require(self, name: str, *allowed: object) -> None:
        """Refuse other values of an attribute."""
        if name in self.attributes and self.attributes[name] not in allowed:
            raise self.cannot(f"{name} is {self.attributes[name]}")

    def cannot(self, reason: str) -> CannotCompile:
        """What to raise where the operator is known, but not in this form."""
        return not_translated(f"the operator {self.name} in this form: {reason}")


def not_translated(what: str) -> CannotCompile:
    """The one message for what has no translation."""
    wrong = f"the network cannot be written as ONNX: there is no translation of {what}"
    return CannotCompile(wrong, *WORKS)
