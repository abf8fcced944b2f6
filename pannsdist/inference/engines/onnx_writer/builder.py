"""Collects the nodes and constants of an ONNX graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from onnx import NodeProto, helper

from pannsdist.inference.engines.onnx_writer.operators import Operator, Value, not_translated

Item = str | Value | np.ndarray | None
"""An operand of a node: the name of a tensor, a tensor of the program, a constant, or a missing optional one."""

Translated = str | np.ndarray | list[str] | tuple["str | list[str] | None", ...]
"""What a translation gives: a name, a known content or the names of a list; a tuple of these for several results."""


class Builder:
    """Nodes in the order of computing. Names depend on the network alone, so two exports are the same bytes."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.scope = ""
        """The layer, within the network, whose operators are being translated; names begin with it."""
        self._names: dict[str, int] = {}
        self._written: dict[int, tuple[np.ndarray, str]] = {}

    def add(self, kind: str, *operands: Item, **attributes: Any) -> str:
        """A node with one result; gives the result's name."""
        return self.add_many(kind, *operands, results=1, **attributes)[0]

    def add_many(self, kind: str, *operands: Item, results: int, **attributes: Any) -> list[str]:
        """A node with several results; gives their names."""
        inputs = [self.name_of(operand) for operand in operands]
        while inputs and not inputs[-1]:  # an optional operand is left empty only before a given one
            inputs.pop()
        name = self._unique(kind)
        names = [name] if results == 1 else [f"{name}.{number}" for number in range(results)]
        self.nodes.append(helper.make_node(kind, inputs, names, name=name, **attributes))
        return names

    def end(self, value: Value, name: str) -> None:
        """Give a tensor this name, as the graph's output."""
        self.scope = ""
        self.nodes.append(helper.make_node("Identity", [self.name_of(value)], [name], name=name))

    def name_of(self, operand: Item) -> str:
        """The name of an operand; a constant is written when it is first used."""
        if isinstance(operand, Value):
            return operand.name if operand.content is None else self.name_of(operand.content)
        if operand is None or isinstance(operand, str):
            return operand or ""
        if id(operand) not in self._written:
            name = self._unique("constant")
            self._written[id(operand)] = (operand, name)
        return self._written[id(operand)][1]

    def cast(self, value: Value, dtype: str) -> Value:
        """The tensor in another type."""
        if value.dtype == dtype:
            return value
        if value.content is not None:
            return Value("", value.shape, dtype, value.content.astype(dtype))
        return Value(self.add("Cast", value, to=tensor_type(dtype)), value.shape, dtype)

    def scalar(self, value: Value, dtype: str) -> Item:
        """A tensor of one element as one of shape ()."""
        value = self.cast(value, dtype)
        if value.content is not None:
            return value.content.reshape(())
        return value if value.shape == () else self.add("Reshape", value, integers())

    def constants(self) -> Iterator[tuple[np.ndarray, str]]:
        """Every constant that a node uses, once, with its name."""
        yield from self._written.values()

    def _unique(self, kind: str) -> str:
        name = f"{self.scope}{kind}"
        self._names[name] = self._names.get(name, -1) + 1
        return f"{name}_{self._names[name]}"


Translation = Callable[[Builder, Operator], Translated]
"""Writes one operator and gives its result. Raises CannotCompile for a form of it that ONNX does not have."""


def integers(*numbers: int) -> np.ndarray:
    """A constant of shape (N,)."""
    return np.array(numbers, np.int64)


def tensor_type(dtype: str) -> int:
    """ONNX's number of a type. Raises CannotCompile for one that numpy does not have."""
    try:
        return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
    except (TypeError, KeyError) as error:
        raise not_translated(f"the type {dtype}") from error
