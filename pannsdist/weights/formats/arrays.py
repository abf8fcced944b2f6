"""Decoding of raw bytes into numpy arrays: type codes, byte order, bfloat16, and bounds checks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pannsdist.runtime.foreign import excerpt
from pannsdist.weights.formats.errors import Damaged, Refused
from pannsdist.weights.formats.limits import MAX_AXES, MAX_SIZE

Array = np.ndarray
CODES = ("f2", "f4", "f8", "bf2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1", "c8", "c16")
"""Supported type codes: numpy's, and `bf2` for bfloat16."""


def item_bytes(code: str) -> int:
    """Size of one value of a type code."""
    if code not in CODES:
        raise Refused(f"values of type '{excerpt(code, 20)}' are not supported")
    return int(code.lstrip("biufc"))


def from_bfloat16(bits: Array) -> Array:
    """Exact float32 values of bfloat16 bits stored as uint16."""
    wide = bits.astype(np.uint32)
    wide <<= np.uint32(16)
    return wide.view(np.float32)


def decode(raw: bytes, code: str, order: str = "<") -> Array:
    """Decode `raw` into a flat array in native byte order; read-only if no conversion is needed.

    bfloat16 becomes float32, which is exact.
    """
    if len(raw) % item_bytes(code):
        raise Damaged(f"{len(raw)} bytes are not a multiple of the size of type {code}")
    if code == "b1":
        bits = np.frombuffer(raw, np.uint8)
        if bits.size and bits.max() > 1:
            raise Damaged("boolean values other than 0 and 1")
        return bits.view(np.bool_)
    values = np.frombuffer(raw, np.dtype(order + code.replace("bf2", "u2")))
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    return from_bfloat16(values) if code == "bf2" else values


def blank(code: str, shape: Sequence[int]) -> Array:
    """An array with a type and a shape and no values, which takes no memory; bfloat16 becomes float32."""
    return np.broadcast_to(np.zeros((), "f4" if code == "bf2" else code), tuple(shape))


def checked_sizes(sizes: object, what: str) -> tuple[int, ...]:
    """A shape or strides as a tuple. Raises Refused for anything but a few non-negative integers of 63 bits.

    Nothing is computed from more or larger ones: the product of a million large integers takes minutes.
    """
    if not isinstance(sizes, list | tuple):
        raise Refused(f"{what} that is not a list of whole numbers from 0 to 2^63")
    if len(sizes) > MAX_AXES:
        raise Refused(f"{what} of more than {MAX_AXES} axes")
    if any(type(size) is not int or not 0 <= size <= MAX_SIZE for size in sizes):
        raise Refused(f"{what} that is not a list of whole numbers from 0 to 2^63")
    return tuple(sizes)


def checked_shape(sizes: object, code: str) -> tuple[int, ...]:
    """A shape, checked. Raises Refused also where no array can have it, which a size of 0 beside huge ones hides."""
    shape = checked_sizes(sizes, "a shape")
    if math.prod(size for size in shape if size) * item_bytes(code) > MAX_SIZE and 0 in shape:
        raise Refused(f"a shape of sizes that no array can have: {listed_sizes(shape)}")
    return shape


def listed_sizes(shape: Sequence[int]) -> str:
    """The first sizes of a shape, for a message."""
    return "(" + ", ".join(map(str, shape[:6])) + (", ..." if len(shape) > 6 else "") + ")"


def strided(values: Array, offset: int, shape: Sequence[int], strides: Sequence[int]) -> Array:
    """A strided view of flat `values` from `offset` on; strides are in values, not bytes.

    Views with more values than are stored (stride 0) are rejected: a few bytes could request any amount of memory.
    """
    if len(shape) != len(strides) or not 0 <= offset <= len(values):
        raise Damaged("shape, strides and offset of a tensor are inconsistent")
    count = math.prod(shape)
    if count == 0:
        return np.zeros(shape, values.dtype)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if last >= len(values) or count > len(values):
        raise Damaged(f"a tensor of shape {listed_sizes(shape)} does not fit into its {len(values)} stored values")
    if values.strides == (0,):  # without values
        return np.broadcast_to(values[:1].reshape(()), tuple(shape))
    steps = [stride * values.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(values[offset:], shape, steps, writeable=False)
