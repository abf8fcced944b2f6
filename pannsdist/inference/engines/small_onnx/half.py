"""float16: the network in half precision, all that surrounds it in float32.

The front end stays float32: the power of a spectrum leaves the range of float16, and the offset of its logarithm is
below it. The converter of onnxruntime 1.32 rounds the waveform to float16 and back when nodes around the network are
left out, so this one is our own.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

from pannsdist.inference.engines.small_onnx.parts import constants, drop_unused, fold_batch_norms, network_nodes

HALF, FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT
FLOAT_INPUTS = {"Resize": (1, 2)}
"""Inputs that stay float32 by the definition of an operator: region and scales."""


def halved(model: ModelProto, scope: str) -> ModelProto:
    """A graph whose network computes in float16; its inputs and outputs stay float32.

    Raises CannotCompile without an operator of the network.
    """
    fold_batch_norms(model, scope)
    halving = _Halving(model, scope)
    nodes = [one for node in model.graph.node for one in halving.nodes(node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    drop_unused(model)
    return model


class _Halving:
    """A walk through the nodes of a graph in their order."""

    def __init__(self, model: ModelProto, scope: str) -> None:
        self._graph, self._constants = model.graph, constants(model)
        self._own = {node.output[0] for node in network_nodes(model, scope)}
        self._made = {name for node in network_nodes(model, scope) for name in node.output}
        outside = [name for node in model.graph.node if node.output[0] not in self._own for name in node.input]
        self._leaving = {*outside, *(output.name for output in model.graph.output)}
        typed = shape_inference.infer_shapes(model).graph
        tensors = [*typed.value_info, *typed.input, *typed.output]
        self._floats = {one.name for one in tensors if one.type.tensor_type.elem_type == FLOAT}
        self._floats |= {name for name, tensor in self._constants.items() if tensor.data_type == FLOAT}
        self._known: set[str] = set()

    def nodes(self, node: NodeProto) -> Iterator[NodeProto]:
        """The node as it is, or in half precision between the casts that it needs."""
        if node.output[0] not in self._own:
            yield node
            return
        stays = FLOAT_INPUTS.get(node.op_type, ())
        for place, name in enumerate(node.input):
            if name in self._floats and place not in stays:
                yield from self._cast(name)
                node.input[place] = _half(name)
        for place, name in enumerate(node.output):
            if name in self._floats:
                node.output[place] = _half(name)
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype") and attribute.i == FLOAT:
                attribute.i = HALF
            elif attribute.name == "value" and attribute.t.data_type == FLOAT:
                attribute.t.CopyFrom(_in_half(attribute.t, attribute.t.name))
        yield node
        for name in (name.removesuffix(SUFFIX) for name in node.output if name.endswith(SUFFIX)):
            if name in self._leaving:
                yield helper.make_node("Cast", [_half(name)], [name], f"{name}/float", to=FLOAT)

    def _cast(self, name: str) -> Iterator[NodeProto]:
        """What makes a tensor from outside, or a constant, half, once."""
        if name in self._made or name in self._known:
            return
        self._known.add(name)
        if name in self._constants:
            self._graph.initializer.append(_in_half(self._constants[name], _half(name)))
        else:
            yield helper.make_node("Cast", [name], [_half(name)], f"{name}/half", to=HALF)


SUFFIX = "/float16"


def _half(name: str) -> str:
    return name + SUFFIX


def _in_half(tensor: TensorProto, name: str) -> TensorProto:
    with np.errstate(over="ignore"):  # an infinite weight: the comparison with the float graph refuses it
        return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), name)
