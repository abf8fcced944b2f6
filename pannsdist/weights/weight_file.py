"""Weight files of any supported format, under bare tensor names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pannsdist.runtime.errors import BadWeightsFile
from pannsdist.runtime.foreign import excerpt
from pannsdist.weights.formats.arrays import Array, blank, from_bfloat16
from pannsdist.weights.formats.errors import READABLE, translate_errors
from pannsdist.weights.formats.limits import MAX_SHARING
from pannsdist.weights.formats.paddle import is_paddle, read_paddle
from pannsdist.weights.formats.safetensors import is_safetensors, read_safetensors
from pannsdist.weights.formats.torch import is_torch, read_torch
from pannsdist.weights.layouts import bare

Format = Literal["torch", "paddle", "safetensors"]
ENDINGS = (".pth", ".pt", ".pdparams", ".pdopt", ".safetensors", ".ckpt", ".bin")
ENVELOPES = ("model", "state_dict", "model_state_dict", "net", "network", "weights")
"""Keys of the weights in checkpoints of other training programs, the trained weights first."""
AVERAGES = ("state_dict_ema", "model_ema", "ema")
"""Keys of averaged weights, used where there are no others."""
MAX_NAME_LETTERS = 300
SHOWN = 5
SLACK_BYTES = 1 << 20
READERS: dict[Format, Callable[..., Any]] = {
    "torch": read_torch,
    "paddle": read_paddle,
    "safetensors": read_safetensors,
}


@dataclass(frozen=True)
class WeightFile:
    """Weights as stored: `state` maps bare names to arrays, `layout` describes the original names.

    Axes and names are those of `format`; arrays may be read-only. Without `has_values` they have shapes and types only.
    """

    path: Path
    format: Format
    layout: str
    state: dict[str, Array] = field(repr=False, compare=False)
    has_values: bool = True


def read_weights(path: Path) -> WeightFile:
    """Read a weight file. The format is detected from its first bytes; no code of the file is executed.

    A file takes seconds at most, and memory in proportion to its size. Raises `BadWeightsFile`.
    """
    return _read(Path(path), values=True)


def read_shapes(path: Path) -> WeightFile:
    """Names, shapes and types of a weight file, without its values, which are not read. Raises `BadWeightsFile`."""
    return _read(Path(path), values=False)


def _read(path: Path, *, values: bool) -> WeightFile:
    kind = format_of(path)
    contents = unwrapped(READERS[kind](path, values=values))
    state = named_arrays(path, contents.state)
    refuse_sharing(path, state)
    if kind == "paddle":
        state = {name: without_bfloat16(value, values=values) for name, value in state.items()}
    state, layout = bare(state)
    return WeightFile(path, kind, layout + contents.remark, state, values)


def without_bfloat16(value: Array, *, values: bool) -> Array:
    """An array of a Paddle file, which stores bfloat16 as uint16."""
    if value.dtype != np.uint16:
        return value
    return from_bfloat16(value) if values else blank("bf2", value.shape)


def refuse_sharing(path: Path, state: Mapping[str, Array]) -> None:
    """Raise `BadWeightsFile` where tensors share their values so often that together they exceed the file.

    Loading, conversion and Paddle's bfloat16 make an own copy of each: 20 MB could ask for 120 GB.
    """
    total, file_bytes = sum(value.nbytes for value in state.values()), path.stat().st_size
    wide = sum(value.nbytes for value in state.values() if value.dtype == np.uint16)
    if total > MAX_SHARING * file_bytes + SLACK_BYTES or wide > file_bytes + SLACK_BYTES:
        raise BadWeightsFile(
            f"{path} is not read: its tensors share their values, {total:,} bytes in a file of {file_bytes:,}",
            "save a state dict whose tensors have their own values",
        )


def format_of(path: Path) -> Format:
    """Detect the format from the first bytes of a file. Raises `BadWeightsFile`."""
    with translate_errors(path, "weight"):
        if path.exists() and not path.is_file() and not path.is_dir():  # opening a pipe waits for ever
            raise BadWeightsFile(f"{path} is not a weight file: it is a pipe or a device", READABLE)
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


@dataclass(frozen=True)
class Contents:
    """The weights inside of a checkpoint, and the containers and tensors beside them, which are not used."""

    state: Any
    unused: tuple[str, ...] = ()

    @property
    def remark(self) -> str:
        """What to say about what is not used; empty without it."""
        more = f" and {len(self.unused) - SHOWN} more" if len(self.unused) > SHOWN else ""
        return f"; not used: {', '.join(self.unused[:SHOWN])}{more}" if self.unused else ""


def unwrapped(tree: Any) -> Contents:
    """The weights inside a checkpoint with further content, such as an optimizer or an average of the weights."""
    if isinstance(tree, Mapping) and not holds_arrays(tree):
        for name in (*ENVELOPES, *AVERAGES):
            if holds_arrays(tree.get(name)):
                beside = [key for key, value in tree.items() if key != name and isinstance(value, Mapping | list)]
                return Contents(tree[name], tuple(map(excerpt, beside)))
    return Contents(tree)


def holds_arrays(tree: Any) -> bool:
    """Whether a value is a mapping with an array in it."""
    return isinstance(tree, Mapping) and any(isinstance(value, np.ndarray) for value in tree.values())


def named_arrays(path: Path, tree: Any) -> dict[str, Array]:
    """Check that the tree maps names to arrays only, and that the names can be printed. Raises `BadWeightsFile`."""
    save_alone = f"save the state dict alone, or under one of the keys {', '.join((*ENVELOPES, *AVERAGES))}"
    if not isinstance(tree, Mapping) or not tree:
        raise BadWeightsFile(f"{path} contains no named weights", save_alone)
    for name, value in tree.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            wrong = f"{path} contains more than weights: '{excerpt(name)}' is of type {type(value).__name__}"
            raise BadWeightsFile(wrong, save_alone)
        if len(name) > MAX_NAME_LETTERS or not name.isprintable():
            wrong = f"{path} names a tensor '{excerpt(name)}', of {len(name):,} letters"
            raise BadWeightsFile(wrong, f"a name has at most {MAX_NAME_LETTERS} letters, all of which can be printed")
    return dict(tree)
