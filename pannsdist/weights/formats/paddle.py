"""Reader for files of `paddle.save`: .pdparams and .pdopt, by Paddle 2 and 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pannsdist.weights.formats.errors import translate_errors
from pannsdist.weights.formats.numpy_pickle import named_tensor, numpy_calls
from pannsdist.weights.formats.unpickler import Unpickler, finished, table

NAMES_KEY = "StructuredToParameterName@@"
"""Key of the table of automatic parameter names, next to the tensors."""


def is_paddle(data: bytes) -> bool:
    """Whether these first bytes are the start of a pickle of protocol 2 to 4."""
    return len(data) > 1 and data[0] == 0x80 and data[1] in (2, 3, 4)


def read_paddle(path: Path) -> dict[str, Any]:
    """Content of a Paddle file: nested dicts, lists and tuples of arrays, numbers, text and None.

    Arrays may be read-only. bfloat16 is returned as uint16, as Paddle stores it. Raises `BadWeightsFile`.
    """
    with translate_errors(path, "Paddle"):
        return paddle_tree(Path(path).read_bytes())


def paddle_tree(data: bytes) -> dict[str, Any]:
    """Parse a Paddle file; damaged bytes may raise any exception."""
    if not is_paddle(data):
        raise ValueError("it does not start with a pickle header")
    machine = Unpickler(data, table({**numpy_calls(), "builtins.tuple": named_tensor}))
    tree = finished(machine.load())
    if machine.position != len(data):
        raise ValueError(f"{len(data) - machine.position} bytes after its end")
    if not isinstance(tree, dict):
        raise ValueError(f"it contains a {type(tree).__name__}, not named values")
    tree.pop(NAMES_KEY, None)
    return tree
