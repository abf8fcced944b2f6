"""Weights from PyTorch to Paddle and back: names of batch norm's statistics, and the axes of Linear."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pannsdist.runtime.errors import WeightsMismatch
from pannsdist.weights.formats.arrays import Array
from pannsdist.weights.formats.writing import write_weights
from pannsdist.weights.layouts import FOREIGN_HEADS, FRONT_END
from pannsdist.weights.loading import RENAMED, is_of_torch, linear_weights, listed, not_needed, paddle_state, renamed
from pannsdist.weights.weight_file import WeightFile, read_weights

if TYPE_CHECKING:
    import paddle

PADDLE_ENDING = ".pdparams"
TORCH_NAMES = {ours: theirs for theirs, ours in RENAMED.items()}
GIVE_MODEL = "say which model they belong to: --model NAME (pannsdist plugins list)"


@dataclass(frozen=True)
class Conversion:
    """What a conversion did: tensors written, Linear weights turned, tensors left out because Paddle has none such."""

    written: int
    turned: tuple[str, ...]
    left_out: tuple[str, ...]


def convert(source: Path, target: Path, layer: paddle.nn.Layer | None = None) -> Conversion:
    """Write the weights of `source` anew, in the format that the ending of `target` names, under bare names.

    `.pdparams` has Paddle's names and axes; `.pth`, `.pt` and `.safetensors` have PyTorch's. On the way to Paddle, the
    front end of PANNs' PyTorch files and the counters of batches are left out; on the way back nothing is invented for
    them. Which weights are Linear is asked of `layer`, a network of the model; without one, see `linears_by_shape`.
    """
    weight_file = read_weights(source)
    linears = linears_of(weight_file, layer) if layer is not None else linears_by_shape(weight_file)
    from_torch, to_torch = is_of_torch(weight_file, linears), target.suffix != PADDLE_ENDING
    if from_torch == to_torch:
        write_weights(target, weight_file.state)
        return Conversion(len(weight_file.state), (), ())
    state = torch_state(weight_file, linears) if to_torch else paddle_state(weight_file, linears)
    write_weights(target, state)
    turned = tuple(key for key, value in state.items() if key in linears and value.ndim == 2)
    left_out = tuple(key for key in weight_file.state if not to_torch and renamed(key) not in state)
    return Conversion(len(state), turned, left_out)


def torch_state(weight_file: WeightFile, linears: set[str]) -> dict[str, Array]:
    """The weights with PyTorch's names and axes: (in, out) of a Linear becomes (out, in)."""
    made: dict[str, Array] = {}
    for key, value in weight_file.state.items():
        parent, dot, name = key.rpartition(".")
        made[parent + dot + TORCH_NAMES.get(name, name)] = value.T if key in linears and value.ndim == 2 else value
    return made


def linears_of(weight_file: WeightFile, layer: paddle.nn.Layer) -> set[str]:
    """The Linear weights of a network. Raises `WeightsMismatch` where the file has matrices that it has not."""
    linears = linear_weights(layer) | {f"{head}.weight" for head in (*FOREIGN_HEADS, *not_needed(layer))}
    own = set(layer.state_dict(use_hook=False))
    unknown = [key for key in matrices(weight_file) if key not in own | linears]
    if unknown:
        wrong = f"{weight_file.path} ({weight_file.layout}) has matrices that the model has not"
        raise WeightsMismatch(wrong, listed("not in the model", unknown) + "\nname the model that they were made for")
    return linears


def linears_by_shape(weight_file: WeightFile) -> set[str]:
    """The Linear weights of a file whose network is not known: every matrix, if each has a bias of its outputs' number.

    So it is in the files of PANNs and EfficientAT. An embedding, a recurrent cell or a Linear without bias has not
    that form, and then `WeightsMismatch` is raised and nothing guessed.
    """
    found = matrices(weight_file)
    outputs_axis = 0 if is_of_torch(weight_file, set(found)) else 1
    doubtful = []
    for key in found:
        bias = weight_file.state.get(key.removesuffix("weight") + "bias") if key.endswith(".weight") else None
        if bias is None or bias.shape != (weight_file.state[key].shape[outputs_axis],):
            doubtful.append(key)
    if doubtful:
        wrong = f"{weight_file.path} does not tell which of its matrices belong to a Linear"
        raise WeightsMismatch(wrong, listed("without a bias that would show it", doubtful) + f"\n{GIVE_MODEL}")
    return set(found)


def matrices(weight_file: WeightFile) -> list[str]:
    """The keys with two axes, but for PANNs' front end."""
    return [key for key, value in weight_file.state.items() if value.ndim == 2 and not key.startswith(FRONT_END)]
