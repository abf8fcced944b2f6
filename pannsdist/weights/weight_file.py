"""A file of weights of any format that we read, under the bare names of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pannsdist.runtime.errors import BadWeightsFile
from pannsdist.weights.formats.arrays import Array, from_bfloat16
from pannsdist.weights.formats.paddle import is_paddle, read_paddle
from pannsdist.weights.formats.refusal import READABLE, refusing
from pannsdist.weights.formats.safetensors import is_safetensors, read_safetensors
from pannsdist.weights.formats.torch import is_torch, read_torch
from pannsdist.weights.layouts import bare

Format = Literal["torch", "paddle", "safetensors"]
ENVELOPES = ("model", "state_dict")
"""Keys under which training programs put the weights, beside the epoch and the like."""


@dataclass(frozen=True)
class WeightFile:
    """Weights as they are stored: `state` maps bare names to arrays, `layout` says in words how names were found.

    Axes and names are still those of `format`; arrays may be read-only.
    """

    path: Path
    format: Format
    layout: str
    state: dict[str, Array] = field(repr=False, compare=False)


def read_weights(path: Path) -> WeightFile:
    """The weights in a file, whatever it is called: its first bytes decide how it is read, and nothing in it is run.

    Raises `BadWeightsFile`.
    """
    path = Path(path)
    kind = format_of(path)
    if kind == "safetensors":
        tree: Any = read_safetensors(path)
    else:
        tree = read_torch(path) if kind == "torch" else read_paddle(path)
    state = named_arrays(path, unwrapped(tree))
    if kind == "paddle":
        state = {name: from_bfloat16(value) if value.dtype == np.uint16 else value for name, value in state.items()}
    state, layout = bare(state)
    return WeightFile(path, kind, layout, state)


def format_of(path: Path) -> Format:
    """What the first bytes of a file say that it is."""
    with refusing(path, "weight"):
        size = path.stat().st_size
        with path.open("rb") as file:
            first = file.read(32)
    if is_safetensors(first, size):
        return "safetensors"
    if is_torch(first):
        return "torch"
    if is_paddle(first):
        return "paddle"
    found = f"begins with {first[:12]!r}" if first else "is empty"
    raise BadWeightsFile(f"{path} is no weight file: it {found}", READABLE)


def unwrapped(tree: Any) -> Any:
    """The weights out of a file that holds more than them."""
    for name in ENVELOPES:
        if isinstance(tree, Mapping) and isinstance(tree.get(name), Mapping):
            return tree[name]
    return tree


def named_arrays(path: Path, tree: Any) -> dict[str, Array]:
    """The tree, which must be arrays by name and nothing else."""
    if not isinstance(tree, Mapping) or not tree:
        raise BadWeightsFile(f"{path} holds no weights by name", f"save a state dict alone, or under {ENVELOPES}")
    for name, value in tree.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            raise BadWeightsFile(
                f"{path} holds more than weights: {str(name)[:80]!r} is of type {type(value).__name__}",
                f"save the state dict alone, or under one of the keys {', '.join(ENVELOPES)}",
            )
    return dict(tree)
