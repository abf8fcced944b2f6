"""Reads the program that `save_graph` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from pannsdist.inference.engines.onnx_writer.builder import Builder, Translated
from pannsdist.inference.engines.onnx_writer.operators import Operand, Operator, Value, not_translated
from pannsdist.inference.engines.onnx_writer.table import TRANSLATIONS

FEED, FETCH, PARAMETER = "pd_op.data", "builtin.shadow_output", "builtin.parameter"


class Program:
    """A saved program of Paddle 3 with the parameters of its layer."""

    def __init__(self, path: Path) -> None:
        layer = paddle.jit.load(str(path.with_suffix("")))
        self._parameters = {tensor.name: tensor for tensor in layer.state_dict().values()}
        self._program = layer.program()
        self._values: dict[str, Value | tuple[Value, ...]] = {}
        self.inputs: list[Value] = []

    def translate(self, builder: Builder) -> list[Value]:
        """Add every operator to the graph and collect the inputs; gives the program's outputs. Raises CannotCompile."""
        outputs: list[Value] = []
        for operation in self._program.global_block().ops:
            if operation.name() == FETCH:
                outputs.append(self._value(operation.operand_source(0)))
                continue
            for result, operand in zip(operation.results(), self._results(operation, builder), strict=False):
                if operand is not None:
                    self._values[result.id] = operand
        if not outputs:
            raise not_translated("a program without output")
        return outputs

    def _results(self, operation: Any, builder: Builder) -> Iterator[Operand]:
        kind, sources = operation.name(), operation.operands_source()
        if kind == FEED:
            self.inputs.append(_described(operation.result(0), operation.attrs()["name"]))
            yield self.inputs[-1]
        elif kind == PARAMETER:
            yield self._parameter(_described(operation.result(0), operation.attrs()["parameter_name"]))
        elif kind == "builtin.combine":
            yield tuple(self._value(source) for source in sources)
        elif kind == "builtin.split":
            items = self._operand(sources[0])
            for result, item in zip(operation.results(), items if isinstance(items, tuple) else (), strict=True):
                yield item if item.content is not None else _described(result, item.name)
        else:
            yield from self._translated(operation, builder)

    def _parameter(self, described: Value) -> Value:
        content = self._parameters.pop(described.name).numpy()
        if content.dtype.name != described.dtype:  # numpy has no bfloat16: Paddle gives its bits
            raise not_translated(f"parameters of the type {described.dtype}")
        return Value("", content.shape, described.dtype, content)

    def _translated(self, operation: Any, builder: Builder) -> Iterator[Operand]:
        kind = operation.name().removeprefix("pd_op.")
        if kind not in TRANSLATIONS or operation.name() == kind:
            raise not_translated(f"the operator {kind}")
        attributes = operation.attrs()
        builder.scope = attributes.get("struct_name", "").lstrip("/").partition("/")[2]
        operands = map(self._operand, operation.operands_source())
        inputs = dict(zip(operation.get_input_names(), operands, strict=True))
        op = Operator(kind, inputs, attributes, _described(operation.result(0), ""))
        try:
            found = TRANSLATIONS[kind](builder, op)
        except (LookupError, TypeError, ValueError) as error:  # attributes that another Paddle writes otherwise
            raise op.cannot(f"{type(error).__name__}: {error}") from error
        for result, item in zip(operation.results(), found if isinstance(found, tuple) else (found,), strict=False):
            yield _operand_of(item, result)

    def _operand(self, source: Any) -> Operand:
        """The operand that Paddle's value stands for; None for an optional one that is missing."""
        if not source.initialized():
            return None
        if source.id not in self._values:
            raise not_translated(f"a further result of the operator {source.get_defining_op().name()}")
        return self._values[source.id]

    def _value(self, source: Any) -> Value:
        found = self._operand(source)
        if isinstance(found, Value):
            return found
        raise not_translated("a list that holds no tensors")


def _described(source: Any, name: str) -> Value:
    """A tensor with the shape and type of Paddle's value; a list of tensors has neither."""
    if not source.initialized() or not source.is_dense_tensor_type():
        return Value(name, (), "")
    return Value(name, tuple(source.shape), str(source.dtype).removeprefix("paddle."))


def _operand_of(item: Translated | None, source: Any) -> Operand:
    if item is None:
        return None
    if isinstance(item, list):
        return tuple(Value(name, (), "") for name in item)
    if isinstance(item, np.ndarray):
        return Value("", item.shape, item.dtype.name, item)
    return _described(source, str(item))
