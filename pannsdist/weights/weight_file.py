"""Weight files of any supported format, under bare tensor names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pannsdist.runtime.errors import BadWeightsFile
from pannsdist.weights.formats.arrays import Array, from_bfloat16
from pannsdist.weights.formats.errors import READABLE, translate_errors
from pannsdist.weights.formats.paddle import is_paddle, read_paddle
from pannsdist.weights.formats.safetensors import is_safetensors, read_safetensors
from pannsdist.weights.formats.torch import is_torch, read_torch
from pannsdist.weights.layouts import bare

Format = Literal["torch", "paddle", "safetensors"]
ENDINGS = (".pth", ".pt", ".pdparams", ".pdopt", ".safetensors", ".ckpt", ".bin")
ENVELOPES = ("model", "state_dict")
"""Keys of the weights in checkpoints of other training programs."""


@dataclass(frozen=True)
class WeightFile:
    """Weights as stored: `state` maps bare names to arrays, `layout` describes the original names.

    Axes and names are those of `format`; arrays may be read-only.
    """

    path: Path
    format: Format
    layout: str
    state: dict[str, Array] = field(repr=False, compare=False)


def read_weights(path: Path) -> WeightFile:
    """Read a weight file. The format is detected from its first bytes; no code of the file is executed.

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
    """Detect the format from the first bytes of a file. Raises `BadWeightsFile`."""
    with translate_errors(path, "weight"):
        size = path.stat().st_size
        with path.open("rb") as file:
            first = file.read(32)
    if is_safetensors(first, size):
        return "safetensors"
    if is_torch(first):
        return "torch"
    if is_paddle(first):
        return "paddle"
    # the content of a file with another ending, which may be secret, is not shown
    start = f"with {first[:12]!r}" if path.suffix in ENDINGS else "as another kind of file does"
    found = f"starts {start}" if first else "is empty"
    raise BadWeightsFile(f"{path} is not a weight file: it {found}", READABLE)


def unwrapped(tree: Any) -> Any:
    """The weights inside a checkpoint with further content."""
    for name in ENVELOPES:
        if isinstance(tree, Mapping) and isinstance(tree.get(name), Mapping):
            return tree[name]
    return tree


def named_arrays(path: Path, tree: Any) -> dict[str, Array]:
    """Check that the tree maps names to arrays only. Raises `BadWeightsFile`."""
    if not isinstance(tree, Mapping) or not tree:
        raise BadWeightsFile(f"{path} contains no named weights", f"save a state dict alone, or under {ENVELOPES}")
    for name, value in tree.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            raise BadWeightsFile(
                f"{path} contains more than weights: {str(name)[:80]!r} is of type {type(value).__name__}",
                f"save the state dict alone, or under one of the keys {', '.join(ENVELOPES)}",
            )
    return dict(tree)
