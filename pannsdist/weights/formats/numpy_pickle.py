"""Replacements for the callables in numpy pickles, so that numpy's own unpickling code never sees untrusted bytes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from pannsdist.weights.formats.arrays import Array, checked_sizes, decode, item_bytes
from pannsdist.weights.formats.unpickler import Pending, finished, new_dict


class PickledType(Pending):
    """A numpy dtype. Only little-endian ones are supported: a file could request byte swaps a million times."""

    def __init__(self, code: object, *_flags: object) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"[biufc]\d{1,2}", code):
            raise ValueError(f"a numpy type {str(code)[:20]!r}; only numbers are supported")
        self.code = code
        item_bytes(code)

    def build(self, state: object) -> None:
        """Set the state (version, byte order, no sub-array, no names, no fields, ...)."""
        if type(state) is not tuple or len(state) < 5 or state[1] not in ("<", "|") or any(state[2:5]):
            raise ValueError("a numpy type that is not a plain little-endian number")

    def finish(self) -> np.dtype[Any]:
        """The dtype in native byte order."""
        return np.dtype(self.code)


class PickledArray(Pending):
    """A numpy array: empty until its state (version, shape, type, is Fortran order, bytes) is set."""

    def __init__(self, *_arguments: object) -> None:
        self.values: Array | None = None

    def build(self, state: object) -> None:
        """Set shape, type and bytes."""
        if type(state) is not tuple or len(state) != 5 or not isinstance(state[2], PickledType):
            raise ValueError("a numpy array without shape, type and bytes")
        _, sizes, kind, is_fortran, raw = state
        shape = checked_sizes(sizes, "the shape of an array")
        if type(raw) is not bytes or len(raw) != math.prod(shape) * item_bytes(kind.code):
            raise ValueError(f"an array of shape {shape[:8]} that does not fit its bytes")
        self.values = decode(raw, kind.code).reshape(shape, order="F" if is_fortran else "C")

    def finish(self) -> Array:
        """The array; read-only if it shares the bytes of the file."""
        if self.values is None:
            raise ValueError("an array without values")
        return self.values


def scalar(kind: object, raw: object) -> Any:
    """Replacement for numpy's `scalar`: one number of a numpy type."""
    if not isinstance(kind, PickledType) or type(raw) is not bytes or len(raw) != item_bytes(kind.code):
        raise ValueError("a numpy number that does not fit its bytes")
    return decode(raw, kind.code)[0]


def encoder() -> Callable[[object, object], bytes]:
    """Replacement for `_codecs.encode`, with which protocol 2 stores bytes as latin-1 text.

    Results are cached: otherwise a small file could request the encoding of its largest text a million times.
    """
    known: dict[str, bytes] = {}

    def encode(text: object, encoding: object) -> bytes:
        if not isinstance(text, str) or encoding != "latin1":
            raise ValueError("text in an encoding other than latin1")
        if text not in known:
            known[text] = text.encode("latin-1")
        return known[text]

    return encode


def named_tensor(pair: object) -> Any:
    """Replacement for `tuple`: Paddle stores a tensor outside of a state dict as (name, array). Returns the array."""
    if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[1], PickledArray):
        raise ValueError("a tuple that is not a Paddle tensor")
    return finished(pair[1])


def numpy_calls() -> dict[str, Callable[..., Any] | None]:
    """Table of callables for pickles with numpy arrays, under the names of numpy 1 and 2."""
    calls: dict[str, Callable[..., Any] | None] = {
        "numpy.ndarray": None,
        "numpy.dtype": PickledType,
        "collections.OrderedDict": new_dict,
        "_codecs.encode": encoder(),
        "__builtin__.bytes": lambda: b"",  # empty bytes in protocol 2
    }
    for core in ("numpy.core", "numpy._core"):
        calls[f"{core}.multiarray._reconstruct"] = PickledArray
        calls[f"{core}.multiarray.scalar"] = scalar
    return calls
