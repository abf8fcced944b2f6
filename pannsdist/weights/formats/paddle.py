"""Reader for files of `paddle.save`: .pdparams and .pdopt, by Paddle 2 and 3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from pannsdist.weights.formats.errors import Damaged, Refused, translate_errors
from pannsdist.weights.formats.limits import Budget
from pannsdist.weights.formats.numpy_pickle import named_tensor, numpy_calls
from pannsdist.weights.formats.section import Section
from pannsdist.weights.formats.tree import finished
from pannsdist.weights.formats.unpickler import Unpickler, table

NAMES_KEY = "StructuredToParameterName@@"
"""Key of the table of automatic parameter names, next to the tensors."""


def is_paddle(data: bytes) -> bool:
    """Whether these first bytes are the start of a pickle of protocol 2 to 4."""
    return len(data) > 1 and data[0] == 0x80 and data[1] in (2, 3, 4)


def read_paddle(path: Path, *, values: bool = True) -> dict[str, Any]:
    """Content of a Paddle file: nested dicts, lists and tuples of arrays, numbers, text and None.

    Arrays may be read-only. bfloat16 is returned as uint16, as Paddle stores it. Without `values` arrays have shapes
    and types only, and long bytes outside of arrays are None. Raises `BadWeightsFile`.
    """
    with translate_errors(path, "Paddle"), Path(path).open("rb") as file:
        return paddle_tree(file, Path(path).stat().st_size, values=values)


def paddle_calls(budget: Budget) -> dict[str, Callable[..., Any] | None]:
    """Table of the callables of Paddle's files."""
    return {**numpy_calls(budget), "builtins.tuple": named_tensor}


def paddle_tree(file: IO[bytes], file_bytes: int, *, values: bool) -> dict[str, Any]:
    """Parse a Paddle file; damaged bytes may raise any exception."""
    if not is_paddle(file.read(2)):
        raise Refused("it does not start with a pickle header")
    budget, source = Budget(file_bytes), Section(file, 0, file_bytes)
    tree = Unpickler(source, table(paddle_calls(budget)), budget, skips_values=not values).load()
    tree = finished(tree, budget)
    if source.left:
        raise Damaged(f"{source.left} bytes after its end")
    if not isinstance(tree, dict):
        raise Refused(f"it contains a {type(tree).__name__}, not named values")
    tree.pop(NAMES_KEY, None)
    return tree
