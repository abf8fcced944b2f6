"""Reader of what `paddle.save` writes: .pdparams and .pdopt, by Paddle 2 and 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pannsdist.weights.formats.numpy_pickle import named_tensor, numpy_calls
from pannsdist.weights.formats.refusal import refusing
from pannsdist.weights.formats.unpickler import Unpickler, finished, table

NAMES_KEY = "StructuredToParameterName@@"
"""Beside the tensors: which automatic name each parameter bore when it was saved."""


def is_paddle(data: bytes) -> bool:
    """Whether these first bytes open a pickle of protocol 2 to 4."""
    return len(data) > 1 and data[0] == 0x80 and data[1] in (2, 3, 4)


def read_paddle(path: Path) -> dict[str, Any]:
    """What a Paddle file holds: nested dicts, lists and tuples of arrays, numbers, text and None.

    Arrays may be read-only. bfloat16 stands as 16-bit unsigned integers, as Paddle stores it. Raises `BadWeightsFile`.
    """
    with refusing(path, "Paddle"):
        return paddle_tree(Path(path).read_bytes())


def paddle_tree(data: bytes) -> dict[str, Any]:
    """The contents of a Paddle file; raises whatever damaged bytes raise."""
    if not is_paddle(data):
        raise ValueError("it does not begin like a pickle")
    machine = Unpickler(data, table({**numpy_calls(), "builtins.tuple": named_tensor}))
    tree = finished(machine.load())
    if machine.position != len(data):
        raise ValueError(f"{len(data) - machine.position} bytes behind its end")
    if not isinstance(tree, dict):
        raise ValueError(f"it holds a {type(tree).__name__}, not named values")
    tree.pop(NAMES_KEY, None)
    return tree
