"""Weights of a file go into a Paddle network, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pannsdist.runtime.errors import WeightsMismatch
from pannsdist.weights.formats.arrays import Array
from pannsdist.weights.heads import Settled, settle_head
from pannsdist.weights.layouts import FOREIGN_HEADS, FRONT_END
from pannsdist.weights.weight_file import WeightFile

if TYPE_CHECKING:
    import paddle

RENAMED = {"running_mean": "_mean", "running_var": "_variance"}
COUNTER = "num_batches_tracked"
SHOWN = 5


@dataclass(frozen=True)
class LoadReport:
    """What became of a file of weights.

    `loaded` counts tensors, `head` is "kept" or "remade (527 -> 10 classes)", `dropped` names the tensors of the file
    that the network has no use for.
    """

    loaded: int
    head: str
    dropped: tuple[str, ...]
    layout: str

    def __str__(self) -> str:
        unused = f", {len(self.dropped)} not needed" if self.dropped else ""
        return f"{self.loaded} tensors loaded ({self.layout}){unused}; head {self.head}"


def to_paddle(weight_file: WeightFile, layer: paddle.nn.Layer) -> dict[str, Array]:
    """The weights with Paddle's names and axes: what PyTorch names (out, in) of a Linear becomes (in, out).

    Which weights belong to a Linear is asked of the layer: PANNs' fc1 is square, so its shape proves nothing. The
    PyTorch front end, counters of batches and what the layer calls `not_needed` are left out. Raises `WeightsMismatch`.
    """
    made = paddle_state(weight_file, linear_weights(layer) | {f"{head}.weight" for head in FOREIGN_HEADS})
    beginnings = tuple(f"{name}." for name in not_needed(layer))
    return {key: value for key, value in made.items() if not key.startswith(beginnings)}


def paddle_state(weight_file: WeightFile, linears: set[str]) -> dict[str, Array]:
    """What `to_paddle` gives, where the names of the Linear weights are known."""
    if not is_of_torch(weight_file, linears):
        return dict(weight_file.state)
    made: dict[str, Array] = {}
    for key, value in weight_file.state.items():
        if key.startswith(FRONT_END) or key.endswith(COUNTER):
            continue
        name = renamed(key)
        if name in made:
            raise WeightsMismatch(f"{weight_file.path} holds '{name}' under two names")
        made[name] = value.T if name in linears and value.ndim == 2 else value
    return made


def load_into(layer: paddle.nn.Layer, weight_file: WeightFile, *, head: str) -> LoadReport:
    """Write weights into a network whose sub-layer `head` depends on the number of classes.

    A head of another number of classes stays as the network has it. Anything else that is missing, left over, of
    another shape or not finite raises `WeightsMismatch`, and then the network is as it was.
    """
    own = dict(layer.state_dict(use_hook=False))
    if not any(key.startswith(head + ".") for key in own):
        raise WeightsMismatch(f"the network has no parameters under '{head}', its head", "mend `head` of the model")
    converted, settled = matched(layer, weight_file, head)
    values = {key: cast(value, own[key]) for key, value in settled.state.items()}
    check_finite(weight_file, values)
    for key, value in values.items():
        write(own[key], value)
    unused = [key for key in weight_file.state if key not in converted and renamed(key) not in converted]
    return LoadReport(len(values), settled.outcome, (*unused, *settled.dropped), weight_file.layout)


def matched(layer: paddle.nn.Layer, weight_file: WeightFile, head: str) -> tuple[dict[str, Array], Settled]:
    """A file's weights as the network wants them, all of them and with the head decided. Raises `WeightsMismatch`."""
    own = dict(layer.state_dict(use_hook=False))
    converted = to_paddle(weight_file, layer)
    settled = settle_head(converted, {key: tuple(value.shape) for key, value in own.items()}, head)
    check_names(weight_file, settled, own)
    return converted, settled


def is_of_torch(weight_file: WeightFile, linears: set[str]) -> bool:
    """Whether names and axes are PyTorch's; in safetensors only the names of batch norm's statistics tell."""
    if weight_file.format != "safetensors":
        return weight_file.format == "torch"
    last_names = {key.rpartition(".")[2] for key in weight_file.state}
    is_torch, is_paddle = bool(last_names & set(RENAMED)), bool(last_names & set(RENAMED.values()))
    if is_torch == is_paddle and (is_torch or linears & set(weight_file.state)):
        raise WeightsMismatch(
            f"{weight_file.path} does not tell whether its Linear weights are (out, in) or (in, out)",
            "its names show no batch norm of PyTorch or of Paddle; give a .pth or .pdparams file",
        )
    return is_torch


def not_needed(layer: paddle.nn.Layer) -> tuple[str, ...]:
    """Parts of a layer's published files that it has no use for, as it says itself."""
    return tuple(getattr(layer, "not_needed", ()))


def linear_weights(layer: paddle.nn.Layer) -> set[str]:
    """Structured names of the weights of all Linear layers."""
    import paddle

    named = layer.named_sublayers(include_self=True)
    return {f"{name}.weight".lstrip(".") for name, part in named if isinstance(part, paddle.nn.Linear)}


def renamed(key: str) -> str:
    """Paddle's name for what PyTorch calls `key`."""
    parent, dot, last = key.rpartition(".")
    return parent + dot + RENAMED.get(last, last)


def check_names(weight_file: WeightFile, settled: Settled, own: Mapping[str, Any]) -> None:
    """Refuse weights that are missing, left over, or of another shape or kind of number."""
    found = settled.state
    missing = [key for key in own if key not in found and key not in settled.fresh]
    extra = [key for key in found if key not in own]
    other = [other_than(key, found[key], own[key]) for key in own if key in found]
    lines = [
        listed("missing", missing),
        listed("left over", extra),
        listed("of another shape or kind (file, network)", [text for text in other if text]),
    ]
    problems = [line for line in lines if line]
    if problems:
        raise WeightsMismatch(
            f"{weight_file.path} ({weight_file.layout}) does not fit the network",
            "\n".join([*problems, "choose the model that these weights were made for"]),
        )


def other_than(key: str, value: Array, parameter: paddle.Tensor) -> str:
    """How an array differs from the parameter that it is for; empty where it does not."""
    shape, kind = tuple(parameter.shape), kind_of(type_name(parameter))
    if value.shape == shape and kind_of(str(value.dtype)) == kind:
        return ""
    return f"{key} {value.dtype}{list(value.shape)}, {type_name(parameter)}{list(shape)}"


def listed(title: str, texts: list[str]) -> str:
    """A line that counts what is wrong and shows the first of it."""
    more = f", and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return f"{title}: {len(texts)}: {'; '.join(texts[:SHOWN])}{more}" if texts else ""


def type_name(parameter: paddle.Tensor) -> str:
    """A parameter's type as numpy names it, such as float32 or bfloat16."""
    return str(parameter.dtype).rpartition(".")[2]


def kind_of(type_text: str) -> str:
    """What sort of number a type is: float (bfloat16 too), int, bool or complex."""
    return next((kind for kind in ("float", "int") if kind in type_text), type_text)


def cast(value: Array, parameter: paddle.Tensor) -> Array:
    """The array in the parameter's type; numpy has no bfloat16, which `write` makes of float32."""
    wanted = type_name(parameter).replace("bfloat16", "float32")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(value, dtype=wanted).reshape(value.shape)


def check_finite(weight_file: WeightFile, values: Mapping[str, Array]) -> None:
    """Refuse weights with NaN or infinity in them, also where they only do not fit into the parameter's type."""
    bad = [key for key, value in values.items() if value.dtype.kind == "f" and not np.isfinite(value).all()]
    if bad:
        raise WeightsMismatch(f"{weight_file.path} holds values that are not finite", listed("in", bad))


def write(parameter: paddle.Tensor, value: Array) -> None:
    """Put an array into a parameter."""
    import paddle

    if type_name(parameter) == "bfloat16":
        parameter.set_value(paddle.to_tensor(value).astype("bfloat16"))
    else:
        parameter.set_value(value)
