"""Loading of weight files into Paddle networks, all weights or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pannsdist.runtime.errors import WeightsMismatch
from pannsdist.weights.formats.arrays import Array
from pannsdist.weights.heads import HeadMatch, match_head
from pannsdist.weights.layouts import FOREIGN_HEADS, FRONT_END, prefix_of_network, prefixed, without_prefix
from pannsdist.weights.weight_file import WeightFile

if TYPE_CHECKING:
    import paddle

RENAMED = {"running_mean": "_mean", "running_var": "_variance"}
COUNTER = "num_batches_tracked"
SHOWN = 5


@dataclass(frozen=True)
class LoadReport:
    """Result of loading a weight file.

    `loaded` is the number of tensors, `head` is "kept" or "remade (527 -> 10 classes)", `dropped` lists the tensors of
    the file that the network does not use.
    """

    loaded: int
    head: str
    dropped: tuple[str, ...]
    layout: str

    def __str__(self) -> str:
        unused = f", {len(self.dropped)} not needed" if self.dropped else ""
        return f"{self.loaded} tensors loaded ({self.layout}){unused}; head {self.head}"


def to_paddle(weight_file: WeightFile, layer: paddle.nn.Layer) -> dict[str, Array]:
    """Weights with Paddle's names and axes: PyTorch's Linear (out, in) becomes (in, out).

    Linear weights are identified by the layer, since shapes can be ambiguous: PANNs' fc1 is square. The PyTorch front
    end, batch counters and the `not_needed` keys of the layer are dropped. Raises `WeightsMismatch`.
    """
    made = paddle_state(weight_file, linear_weights(layer) | {f"{head}.weight" for head in FOREIGN_HEADS})
    beginnings = tuple(f"{name}." for name in not_needed(layer))
    return {key: value for key, value in made.items() if not key.startswith(beginnings)}


def paddle_state(weight_file: WeightFile, linears: set[str]) -> dict[str, Array]:
    """Like `to_paddle`, given the names of the Linear weights."""
    if not is_of_torch(weight_file, linears):
        return dict(weight_file.state)
    made: dict[str, Array] = {}
    for key, value in weight_file.state.items():
        if key.startswith(FRONT_END) or key.endswith(COUNTER):
            continue
        name = renamed(key)
        if name in made:
            raise WeightsMismatch(f"{weight_file.path} contains '{name}' under two names")
        made[name] = value.T if name in linears and value.ndim == 2 else value
    return made


def below_prefix(weight_file: WeightFile, layer: paddle.nn.Layer) -> WeightFile:
    """The weights of the file that stand below the prefix of the network's names, without it; all of them without one.

    What stands beside the prefix belongs to another part of a training program, such as its loss.
    """
    own = set(layer.state_dict(use_hook=False))
    prefix = prefix_of_network(map(renamed, weight_file.state), own)
    if not prefix:
        return weight_file
    layout, state = weight_file.layout + prefixed(prefix), without_prefix(weight_file.state, prefix)
    return replace(weight_file, layout=layout, state=state)


def load_into(layer: paddle.nn.Layer, weight_file: WeightFile, *, head: str) -> LoadReport:
    """Load weights into a network whose sub-layer `head` depends on the number of classes.

    A prefix of the names, as Lightning or data parallelism add it, is removed and named in the report. A head with
    another number of classes is not loaded. Any other missing, unexpected, mismatched or non-finite tensor raises
    `WeightsMismatch`, and the network stays unchanged.
    """
    if not weight_file.has_values:
        raise ValueError(f"only the shapes of {weight_file.path} were read")
    own = dict(layer.state_dict(use_hook=False))
    found, converted, head_match = matched(layer, weight_file, head)
    values = {key: cast(value, own[key]) for key, value in head_match.state.items()}
    check_finite(weight_file, values)
    for key, value in values.items():
        write(own[key], value)
    unused = [key for key in found.state if key not in converted and renamed(key) not in converted]
    beside = len(weight_file.state) - len(found.state)
    layout = found.layout + (f", {beside} beside the prefix" if beside else "")
    return LoadReport(len(values), head_match.head, (*unused, *head_match.dropped), layout)


def matched(
    layer: paddle.nn.Layer, weight_file: WeightFile, head: str
) -> tuple[WeightFile, dict[str, Array], HeadMatch]:
    """Weights of a file below their prefix, then converted to the network's names, and the matched head.

    Needs the names and shapes of the file only. Raises `WeightsMismatch`.
    """
    own = dict(layer.state_dict(use_hook=False))
    if not any(key.startswith(head + ".") for key in own):
        raise WeightsMismatch(f"the network has no parameters under its head '{head}'", "fix `head` of the model")
    found = below_prefix(weight_file, layer)
    converted = to_paddle(found, layer)
    head_match = match_head(converted, {key: tuple(value.shape) for key, value in own.items()}, head)
    check_names(found, head_match, own)
    return found, converted, head_match


def is_of_torch(weight_file: WeightFile, linears: set[str]) -> bool:
    """Whether names and axes are PyTorch's; safetensors are recognised by their batch norm statistics.

    Raises `WeightsMismatch` if undecidable.
    """
    if weight_file.format != "safetensors":
        return weight_file.format == "torch"
    last_names = {key.rpartition(".")[2] for key in weight_file.state}
    is_torch, is_paddle = bool(last_names & set(RENAMED)), bool(last_names & set(RENAMED.values()))
    if is_torch == is_paddle and (is_torch or linears & set(weight_file.state)):
        raise WeightsMismatch(
            f"{weight_file.path}: unclear whether its Linear weights are (out, in) or (in, out)",
            "it has no batch norm statistics of PyTorch or Paddle; give a .pth or .pdparams file",
        )
    return is_torch


def not_needed(layer: paddle.nn.Layer) -> tuple[str, ...]:
    """Sub-layers in published files that the layer does not have, as declared by its `not_needed`."""
    return tuple(getattr(layer, "not_needed", ()))


def linear_weights(layer: paddle.nn.Layer) -> set[str]:
    """Structured names of the weights of all Linear sub-layers, and of those that a head of frames replaces."""
    import paddle

    from pannsdist.contracts.frame_head import FrameHead

    named, linears = layer.named_sublayers(include_self=True), (paddle.nn.Linear, FrameHead)
    return {f"{name}.weight".lstrip(".") for name, part in named if isinstance(part, linears)}


def renamed(key: str) -> str:
    """Paddle's name of PyTorch's `key`."""
    parent, dot, last = key.rpartition(".")
    return parent + dot + RENAMED.get(last, last)


def check_names(weight_file: WeightFile, head_match: HeadMatch, own: Mapping[str, Any]) -> None:
    """Raise `WeightsMismatch` for missing or unexpected tensors, or mismatched shapes or types."""
    found = head_match.state
    missing = [key for key in own if key not in found and key not in head_match.fresh]
    extra = [key for key in found if key not in own]
    mismatched = [difference(key, found[key], own[key]) for key in own if key in found]
    lines = [
        listed("missing", missing),
        listed("unexpected", extra),
        listed("mismatched shape or type (file, network)", [text for text in mismatched if text]),
    ]
    problems = [line for line in lines if line]
    if problems:
        raise WeightsMismatch(
            f"{weight_file.path} ({weight_file.layout}) does not fit the network",
            "\n".join([*problems, "choose the model that these weights belong to"]),
        )


def difference(key: str, value: Array, parameter: paddle.Tensor) -> str:
    """Description of the difference in shape or type of an array and its parameter; empty if there is none."""
    shape, kind = tuple(parameter.shape), kind_of(type_name(parameter))
    if value.shape == shape and kind_of(str(value.dtype)) == kind:
        return ""
    return f"{key} {value.dtype}{list(value.shape)}, {type_name(parameter)}{list(shape)}"


def listed(title: str, texts: list[str]) -> str:
    """A line with a count and the first few texts; empty without texts."""
    more = f", and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return f"{title}: {len(texts)}: {'; '.join(texts[:SHOWN])}{more}" if texts else ""


def type_name(parameter: paddle.Tensor) -> str:
    """numpy's name of a parameter's type, such as float32 or bfloat16."""
    return str(parameter.dtype).rpartition(".")[2]


def kind_of(type_text: str) -> str:
    """The kind of a type: float (including bfloat16), int, bool or complex."""
    return next((kind for kind in ("float", "int") if kind in type_text), type_text)


def cast(value: Array, parameter: paddle.Tensor) -> Array:
    """Cast an array to the parameter's type; bfloat16 stays float32, which `write` converts."""
    wanted = type_name(parameter).replace("bfloat16", "float32")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(value, dtype=wanted).reshape(value.shape)


def check_finite(weight_file: WeightFile, values: Mapping[str, Array]) -> None:
    """Raise `WeightsMismatch` for NaN or infinity, including overflow in the parameter's type."""
    bad = [key for key, value in values.items() if value.dtype.kind == "f" and not np.isfinite(value).all()]
    if bad:
        raise WeightsMismatch(f"{weight_file.path} contains values that are not finite", listed("in", bad))


def write(parameter: paddle.Tensor, value: Array) -> None:
    """Write an array into a parameter."""
    import paddle

    if type_name(parameter) == "bfloat16":
        parameter.set_value(paddle.to_tensor(value).astype("bfloat16"))
    else:
        parameter.set_value(value)
