"""Replacements for the callables in numpy pickles, so that numpy's own unpickling code never sees untrusted bytes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from pannsdist.runtime.foreign import excerpt
from pannsdist.weights.formats.arrays import Array, blank, checked_shape, decode, item_bytes, listed_sizes
from pannsdist.weights.formats.errors import Damaged, Refused
from pannsdist.weights.formats.limits import Budget
from pannsdist.weights.formats.unpickler import PAIR_BYTES, Pending, Skipped, put_item

ARRAY_BYTES = 400
"""Memory of an array without its values, at most."""


class PickledType(Pending):
    """A numpy dtype. Only little-endian ones are supported: a file could request byte swaps a million times."""

    __slots__ = ("code",)

    def __init__(self, code: object, *_flags: object) -> None:
        if type(code) is not str:
            raise Refused("a numpy type that is not text")
        if not re.fullmatch(r"[biufc]\d{1,2}", code):
            raise Refused(f"a numpy type '{excerpt(code, 20)}'; only numbers are supported")
        self.code = code
        item_bytes(code)

    def build(self, state: object) -> None:
        """Set the state (version, byte order, no sub-array, no names, no fields, ...)."""
        plain = type(state) is tuple and len(state) >= 5 and all(part is None for part in state[2:5])
        if not plain or type(state[1]) is not str or state[1] not in ("<", "|"):  # type: ignore[index]
            raise Refused("a numpy type that is not a plain little-endian number")

    def finish(self) -> np.dtype[Any]:
        """The dtype in native byte order."""
        return np.dtype(self.code)


class PickledArray(Pending):
    """A numpy array: empty until its state (version, shape, type, is Fortran order, bytes) is set."""

    __slots__ = ("budget", "values")

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.values: Array | None = None

    def build(self, state: object) -> None:
        """Set shape, type and bytes."""
        if type(state) is not tuple or len(state) != 5 or type(state[2]) is not PickledType:
            raise Refused("a numpy array without shape, type and bytes")
        _, sizes, kind, is_fortran, raw = state
        shape = checked_shape(sizes, kind.code)
        size = len(raw) if type(raw) is bytes else raw.size if type(raw) is Skipped else -1
        if size != math.prod(shape) * item_bytes(kind.code):
            raise Damaged(f"an array of shape {listed_sizes(shape)} that does not fit its bytes")
        self.budget.spend(ARRAY_BYTES + (size if kind.code == "b1" else 0))  # booleans are compared with 0 and 1
        if type(raw) is bytes:
            self.values = decode(raw, kind.code).reshape(shape, order="F" if is_fortran is True else "C")
        else:
            self.values = blank(kind.code, shape)

    def finish(self) -> Array:
        """The array; read-only if it shares the bytes of the file."""
        if self.values is None:
            raise Refused("an array without values")
        return self.values


def scalar(kind: object, raw: object) -> Any:
    """Replacement for numpy's `scalar`: one number of a numpy type."""
    if type(kind) is not PickledType or type(raw) is not bytes or len(raw) != item_bytes(kind.code):
        raise Damaged("a numpy number that does not fit its bytes")
    return decode(raw, kind.code)[0]


def encoder() -> Callable[[object, object], bytes]:
    """Replacement for `_codecs.encode`, with which protocol 2 stores bytes as latin-1 text.

    Results are cached: otherwise a small file could request the encoding of its largest text a million times.
    """
    known: dict[str, bytes] = {}

    def encode(text: object, encoding: object) -> bytes:
        if type(text) is not str or type(encoding) is not str or encoding != "latin1":
            raise Refused("text in an encoding other than latin1")
        if text not in known:
            known[text] = text.encode("latin-1")
        return known[text]

    return encode


def dict_maker(budget: Budget) -> Callable[..., dict[Any, Any]]:
    """Replacement for OrderedDict: a dict, which is ordered too. Python 2 gives its pairs as an argument."""

    def new_dict(*arguments: Any) -> dict[Any, Any]:
        pairs = arguments[0] if arguments else ()
        if type(pairs) not in (list, tuple):
            raise Refused("an OrderedDict of something other than pairs of key and value")
        budget.step(len(pairs))
        budget.spend(PAIR_BYTES * len(pairs))
        made: dict[Any, Any] = {}
        for pair in pairs:
            if type(pair) not in (list, tuple) or len(pair) != 2:
                raise Refused("an OrderedDict of something other than pairs of key and value")
            put_item(made, *pair)
        return made

    return new_dict


def named_tensor(pair: object) -> Any:
    """Replacement for `tuple`: Paddle stores a tensor outside of a state dict as (name, array). Returns the array."""
    if type(pair) is not tuple or len(pair) != 2 or type(pair[1]) is not PickledArray:
        raise Refused("a tuple that is not a Paddle tensor")
    return pair[1].finish()


def numpy_calls(budget: Budget) -> dict[str, Callable[..., Any] | None]:
    """Table of callables for pickles with numpy arrays, under the names of numpy 1 and 2."""
    calls: dict[str, Callable[..., Any] | None] = {
        "numpy.ndarray": None,
        "numpy.dtype": PickledType,
        "collections.OrderedDict": dict_maker(budget),
        "_codecs.encode": encoder(),
        "__builtin__.bytes": lambda: b"",  # empty bytes in protocol 2
    }
    for core in ("numpy.core", "numpy._core"):
        calls[f"{core}.multiarray._reconstruct"] = lambda *_arguments: PickledArray(budget)
        calls[f"{core}.multiarray.scalar"] = scalar
    return calls
