"""The parts of an exported graph: the network with its weights, and all that surrounds it and stays float32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from pannsdist.inference.engines.graph import CannotCompile


@dataclass(frozen=True)
class WeightBytes:
    """The bytes of the constants of a graph: of the network, and of what is around it, such as the front end."""

    network: int
    around: int


def network_scope(layer_class: str) -> str:
    """What the names of the network's operators begin with, by the class of its layer."""
    return f"OutputLayer/{layer_class}/"


def network_nodes(model: ModelProto, scope: str) -> list[NodeProto]:
    """The operators of the network. Raises CannotCompile where there is none."""
    found = [node for node in model.graph.node if node.name.startswith(scope)]
    if not found:
        raise CannotCompile(f"no operator of the graph begins with {scope}", "export it with --precision fp32")
    return found


def constants(model: ModelProto) -> dict[str, TensorProto]:
    """The constants of a graph by name."""
    return {tensor.name: tensor for tensor in model.graph.initializer}


def weight_bytes(model: ModelProto, scope: str) -> WeightBytes:
    """How large the constants are. One that the network takes, alone or with others, belongs to the network."""
    own = {name for node in model.graph.node if scope in node.name for name in node.input}
    sizes = {name: numpy_helper.to_array(tensor).nbytes for name, tensor in constants(model).items()}
    network = sum(size for name, size in sizes.items() if name in own)
    return WeightBytes(network, sum(sizes.values()) - network)


def fold_batch_norms(model: ModelProto, scope: str) -> None:
    """Put each batch norm of the network that follows a convolution into its weights, and drop unused constants.

    A quantized convolution needs this: its result is rounded, and onnxruntime folds no batch norm behind that.
    """
    known = constants(model)
    makers = {node.output[0]: node for node in network_nodes(model, scope) if node.op_type == "Conv"}
    uses = [name for node in model.graph.node for name in node.input]
    for norm in [node for node in network_nodes(model, scope) if node.op_type == "BatchNormalization"]:
        convolution = makers.get(norm.input[0])
        if convolution is None or uses.count(norm.input[0]) > 1:
            continue
        if not all(name in known for name in [*convolution.input[1:], *norm.input[1:]]):
            continue
        _fold(model, convolution, norm, known)
        convolution.output[0] = norm.output[0]
        model.graph.node.remove(norm)
    drop_unused(model)


def drop_unused(model: ModelProto) -> None:
    """Remove the constants that no operator takes."""
    used = {name for node in model.graph.node for name in node.input}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in used]:
        model.graph.initializer.remove(tensor)


def _fold(model: ModelProto, convolution: NodeProto, norm: NodeProto, known: dict[str, TensorProto]) -> None:
    """Weights (O, I/G, H, W) and bias (O,) of a convolution that computes the batch norm, too; in float64."""
    scale, shift, mean, variance = (numpy_helper.to_array(known[name]).astype(np.float64) for name in norm.input[1:])
    epsilon = next((item.f for item in norm.attribute if item.name == "epsilon"), 1e-5)
    factor = scale / np.sqrt(variance + epsilon)
    weight = numpy_helper.to_array(known[convolution.input[1]])
    bias = numpy_helper.to_array(known[convolution.input[2]]) if len(convolution.input) > 2 else 0.0
    folded = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    names = f"{convolution.name}/weight", f"{convolution.name}/bias"
    for name, content in zip(names, (folded, (bias - mean) * factor + shift), strict=True):
        model.graph.initializer.append(numpy_helper.from_array(content.astype(np.float32), name))
    del convolution.input[1:]
    convolution.input.extend(names)
