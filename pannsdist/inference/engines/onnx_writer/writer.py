"""Writes a saved graph as an ONNX model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from onnx import ModelProto, ValueInfoProto, helper

import pannsdist
from pannsdist.inference.engines.graph import CannotCompile
from pannsdist.inference.engines.onnx_writer.builder import Builder, tensor_type
from pannsdist.inference.engines.onnx_writer.operators import OUTPUT, WORKS, Value
from pannsdist.inference.engines.onnx_writer.program import Program

OPSET, FORMAT = 17, 8
"""The version of ONNX's operators, and that of its files: onnxruntime reads them since 1.13."""
MAX_BYTES = 2**31 - 2**20
"""What a file may hold: 2 GB, less the space for what is not weights."""


def onnx_bytes(path: Path, names: Sequence[str] = (OUTPUT,)) -> bytes:
    """The ONNX file of a graph that `save_graph` wrote: its input by the same name (B, S), its outputs by `names`.

    Open sizes stay open. The same network gives the same bytes. Raises CannotCompile for an operator that has no
    translation, which it names, and for more weights than a file may hold.
    """
    builder, program = Builder(), Program(path)
    outputs = dict(zip(names, program.translate(builder), strict=True))
    for name, output in outputs.items():
        builder.end(output, name)
    size = sum(content.nbytes for content, _ in builder.constants())
    if size > MAX_BYTES:
        wrong = f"the network cannot be written as ONNX: a file holds 2 GB, its weights are {size / 2**30:.1f} GB"
        raise CannotCompile(wrong, *WORKS)
    content: bytes = _model(builder, program.inputs, outputs).SerializeToString(deterministic=True)
    return content


def _model(builder: Builder, inputs: list[Value], outputs: Mapping[str, Value]) -> ModelProto:
    """The weights are copied once: the helpers of the library copy them for each level of the model."""
    model = ModelProto(ir_version=FORMAT, producer_name="pannsdist", producer_version=pannsdist.__version__)
    model.opset_import.add(version=OPSET)
    graph = model.graph
    graph.name = "network"
    graph.input.extend(_described(value.name, value) for value in inputs)
    graph.output.extend(_described(name, value) for name, value in outputs.items())
    graph.node.extend(builder.nodes)
    for content, name in builder.constants():
        little_endian = content.astype(content.dtype.newbyteorder("<"), copy=False)
        kind = tensor_type(content.dtype.name)
        graph.initializer.add(name=name, data_type=kind, dims=content.shape, raw_data=little_endian.tobytes())
    return model


def _described(name: str, value: Value) -> ValueInfoProto:
    """An input or output with its shape, in which an open size has a name."""
    open_sizes = ["batch", *(f"axis_{axis}" for axis in range(1, len(value.shape)))]
    if len(value.shape) == 2:
        open_sizes[1] = "samples"
    sizes = [size if size >= 0 else axis for size, axis in zip(value.shape, open_sizes, strict=True)]
    return helper.make_tensor_value_info(name, tensor_type(value.dtype), sizes)
