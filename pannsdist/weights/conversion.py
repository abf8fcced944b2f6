"""Conversion of weights between PyTorch and Paddle: names of batch norm statistics, and the axes of Linear weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pannsdist.runtime.errors import WeightsMismatch
from pannsdist.weights.formats.arrays import Array
from pannsdist.weights.formats.writing import refuse_target, write_weights
from pannsdist.weights.layouts import FOREIGN_HEADS, FRONT_END
from pannsdist.weights.loading import (
    RENAMED,
    below_prefix,
    is_of_torch,
    linear_weights,
    listed,
    not_needed,
    paddle_state,
    renamed,
)
from pannsdist.weights.weight_file import WeightFile, read_weights

if TYPE_CHECKING:
    import paddle

PADDLE_ENDING = ".pdparams"
TORCH_NAMES = {ours: theirs for theirs, ours in RENAMED.items()}
GIVE_MODEL = "give the model of these weights: --model NAME (pannsdist plugins list)"


@dataclass(frozen=True)
class Conversion:
    """Result of a conversion: tensors written, Linear weights transposed, tensors dropped that Paddle does not have."""

    written: int
    transposed: tuple[str, ...]
    dropped: tuple[str, ...]


def convert(source: Path, target: Path, layer: paddle.nn.Layer | None = None) -> Conversion:
    """Convert the weights of `source` to the format given by the suffix of `target`, under bare names.

    `.pdparams` uses Paddle's names and axes; `.pth`, `.pt` and `.safetensors` use PyTorch's. The front end of PANNs'
    PyTorch files and the batch counters are dropped for Paddle; for PyTorch they are not restored. Linear weights are
    identified by `layer`, a network of the model; without one, see `linears_by_shape`.
    """
    refuse_target(target)
    weight_file = read_weights(source) if layer is None else below_prefix(read_weights(source), layer)
    linears = linears_of(weight_file, layer) if layer is not None else linears_by_shape(weight_file)
    from_torch, to_torch = is_of_torch(weight_file, linears), target.suffix != PADDLE_ENDING
    if from_torch == to_torch:
        write_weights(target, weight_file.state)
        return Conversion(len(weight_file.state), (), ())
    state = torch_state(weight_file, linears) if to_torch else paddle_state(weight_file, linears)
    write_weights(target, state)
    transposed = tuple(key for key, value in state.items() if key in linears and value.ndim == 2)
    dropped = tuple(key for key in weight_file.state if not to_torch and renamed(key) not in state)
    return Conversion(len(state), transposed, dropped)


def torch_state(weight_file: WeightFile, linears: set[str]) -> dict[str, Array]:
    """Weights with PyTorch's names and axes: Linear (in, out) becomes (out, in)."""
    made: dict[str, Array] = {}
    for key, value in weight_file.state.items():
        parent, dot, name = key.rpartition(".")
        made[parent + dot + TORCH_NAMES.get(name, name)] = value.T if key in linears and value.ndim == 2 else value
    return made


def linears_of(weight_file: WeightFile, layer: paddle.nn.Layer) -> set[str]:
    """Names of Linear weights, from a network. Raises `WeightsMismatch` for matrices unknown to the network."""
    linears = linear_weights(layer) | {f"{head}.weight" for head in (*FOREIGN_HEADS, *not_needed(layer))}
    own = set(layer.state_dict(use_hook=False))
    unknown = [key for key in matrices(weight_file) if key not in own | linears]
    if unknown:
        wrong = f"{weight_file.path} ({weight_file.layout}) has matrices that the model does not have"
        raise WeightsMismatch(
            wrong, listed("not in the model", unknown) + "\ngive the model that these weights belong to"
        )
    return linears


def linears_by_shape(weight_file: WeightFile) -> set[str]:
    """Names of Linear weights, without a network: all matrices, if each has a bias of matching size.

    This holds for the files of PANNs and EfficientAT, but not for embeddings, recurrent cells or Linear layers without
    bias: for these `WeightsMismatch` is raised.
    """
    found = matrices(weight_file)
    outputs_axis = 0 if is_of_torch(weight_file, set(found)) else 1
    doubtful = []
    for key in found:
        bias = weight_file.state.get(key.removesuffix("weight") + "bias") if key.endswith(".weight") else None
        if bias is None or bias.shape != (weight_file.state[key].shape[outputs_axis],):
            doubtful.append(key)
    if doubtful:
        wrong = f"{weight_file.path}: unclear which matrices are Linear weights"
        raise WeightsMismatch(wrong, listed("without a matching bias", doubtful) + f"\n{GIVE_MODEL}")
    return set(found)


def matrices(weight_file: WeightFile) -> list[str]:
    """Keys of all two-dimensional tensors, except PANNs' front end."""
    return [key for key, value in weight_file.state.items() if value.ndim == 2 and not key.startswith(FRONT_END)]
