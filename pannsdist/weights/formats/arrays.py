"""Raw bytes become numpy arrays: type codes, byte order, bfloat16, and bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Array = np.ndarray
CODES = ("f2", "f4", "f8", "bf2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1", "c8", "c16")
"""Type codes that are read: numpy's, and `bf2` for bfloat16."""


def item_bytes(code: str) -> int:
    """Size of one value of a type code."""
    if code not in CODES:
        raise ValueError(f"values of type '{code[:20]}' are not read")
    return int(code.lstrip("biufc"))


def from_bfloat16(bits: Array) -> Array:
    """The float32 values of bfloat16 bits held as 16-bit unsigned integers; exact."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def decode(raw: bytes, code: str, order: str = "<") -> Array:
    """All values in `raw`, as a flat array in this machine's byte order; read-only where no conversion is needed.

    bfloat16 becomes float32, which holds it exactly.
    """
    if len(raw) % item_bytes(code):
        raise ValueError(f"{len(raw)} bytes do not hold whole values of type {code}")
    if code == "b1":
        bits = np.frombuffer(raw, np.uint8)
        if bits.size and bits.max() > 1:
            raise ValueError("truth values other than 0 and 1")
        return bits.view(np.bool_)
    values = np.frombuffer(raw, np.dtype(order + code.replace("bf2", "u2")))
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    return from_bfloat16(values) if code == "bf2" else values


def checked_sizes(sizes: object, what: str) -> tuple[int, ...]:
    """A shape or strides as a tuple of numbers that are not negative."""
    if not isinstance(sizes, list | tuple) or any(type(size) is not int or size < 0 for size in sizes):
        raise ValueError(f"{what} is not a row of numbers from 0 up")
    return tuple(sizes)


def strided(values: Array, offset: int, shape: Sequence[int], strides: Sequence[int]) -> Array:
    """A view of flat `values` that starts at `offset`; strides count values, not bytes.

    A view with more values than it rests on (stride 0) is refused: a few bytes could ask for any amount of memory.
    """
    count = math.prod(shape)
    if len(shape) != len(strides) or not 0 <= offset <= len(values):
        raise ValueError("shape, strides and offset of a tensor do not fit each other")
    if count == 0:
        return np.zeros(shape, values.dtype)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if last >= len(values) or count > len(values):
        raise ValueError(f"a tensor of shape {tuple(shape)} does not fit into its {len(values)} stored values")
    steps = [stride * values.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(values[offset:], shape, steps, writeable=False)
