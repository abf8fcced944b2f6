"""Decoding of raw bytes into numpy arrays: type codes, byte order, bfloat16, and bounds checks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Array = np.ndarray
CODES = ("f2", "f4", "f8", "bf2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1", "c8", "c16")
"""Supported type codes: numpy's, and `bf2` for bfloat16."""


def item_bytes(code: str) -> int:
    """Size of one value of a type code."""
    if code not in CODES:
        raise ValueError(f"values of type '{code[:20]}' are not supported")
    return int(code.lstrip("biufc"))


def from_bfloat16(bits: Array) -> Array:
    """Exact float32 values of bfloat16 bits stored as uint16."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def decode(raw: bytes, code: str, order: str = "<") -> Array:
    """Decode `raw` into a flat array in native byte order; read-only if no conversion is needed.

    bfloat16 becomes float32, which is exact.
    """
    if len(raw) % item_bytes(code):
        raise ValueError(f"{len(raw)} bytes are not a multiple of the size of type {code}")
    if code == "b1":
        bits = np.frombuffer(raw, np.uint8)
        if bits.size and bits.max() > 1:
            raise ValueError("boolean values other than 0 and 1")
        return bits.view(np.bool_)
    values = np.frombuffer(raw, np.dtype(order + code.replace("bf2", "u2")))
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    return from_bfloat16(values) if code == "bf2" else values


def checked_sizes(sizes: object, what: str) -> tuple[int, ...]:
    """A shape or strides as a tuple of non-negative integers. Raises ValueError otherwise."""
    if not isinstance(sizes, list | tuple) or any(type(size) is not int or size < 0 for size in sizes):
        raise ValueError(f"{what} is not a sequence of non-negative integers")
    return tuple(sizes)


def strided(values: Array, offset: int, shape: Sequence[int], strides: Sequence[int]) -> Array:
    """A strided view of flat `values` from `offset` on; strides are in values, not bytes.

    Views with more values than are stored (stride 0) are rejected: a few bytes could request any amount of memory.
    """
    count = math.prod(shape)
    if len(shape) != len(strides) or not 0 <= offset <= len(values):
        raise ValueError("shape, strides and offset of a tensor are inconsistent")
    if count == 0:
        return np.zeros(shape, values.dtype)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if last >= len(values) or count > len(values):
        raise ValueError(f"a tensor of shape {tuple(shape)} does not fit into its {len(values)} stored values")
    steps = [stride * values.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(values[offset:], shape, steps, writeable=False)
