"""Reader for the safetensors format: header length (8 bytes), JSON header, raw values."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from pannsdist.weights.formats.arrays import Array, checked_sizes, decode, item_bytes
from pannsdist.weights.formats.errors import translate_errors

MAX_HEADER_BYTES = 100_000_000
"""The limit of the safetensors library."""
TYPES = {
    "F64": "f8",
    "F32": "f4",
    "F16": "f2",
    "BF16": "bf2",
    "I64": "i8",
    "I32": "i4",
    "I16": "i2",
    "I8": "i1",
    "U64": "u8",
    "U32": "u4",
    "U16": "u2",
    "U8": "u1",
    "BOOL": "b1",
}


def is_safetensors(data: bytes, file_bytes: int) -> bool:
    """Whether these first bytes are a valid header length and the start of a JSON object."""
    return len(data) > 8 and data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= file_bytes - 8


def read_safetensors(path: Path) -> dict[str, Array]:
    """Tensors by name; bfloat16 becomes float32. Raises `BadWeightsFile`."""
    with translate_errors(path, "safetensors"):
        return safetensors_tree(Path(path).read_bytes())


def safetensors_tree(data: bytes) -> dict[str, Array]:
    """Parse a safetensors file; damaged bytes may raise any exception.

    As the format requires, the tensors must fill the file after the header without overlaps or gaps.
    """
    size = int.from_bytes(data[:8], "little")
    if not is_safetensors(data, len(data)) or size > MAX_HEADER_BYTES:
        raise ValueError("its header is truncated")
    header = json.loads(data[8 : 8 + size].decode("utf-8"), object_pairs_hook=unique_keys)
    header.pop("__metadata__", None)
    start, filled = 8 + size, 0
    arrays: dict[str, Array] = {}
    for name, entry in sorted(header.items(), key=lambda item: bounds(item[1])):
        begin, end = bounds(entry)
        if begin != filled or start + end > len(data):
            raise ValueError(f"the values of '{name[:80]}' overlap, leave a gap, or are truncated")
        arrays[name] = tensor(entry, data[start + begin : start + end])
        filled = end
    if start + filled != len(data):
        raise ValueError(f"{len(data) - start - filled} bytes that belong to no tensor")
    return {name: arrays[name] for name in header}


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict. Raises ValueError for duplicate keys."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a duplicate name in its header")
    return made


def bounds(entry: dict[str, Any]) -> tuple[int, int]:
    """Start and end of the values of an entry, relative to the end of the header."""
    begin, end = checked_sizes(entry["data_offsets"], "data_offsets")
    if begin > end:
        raise ValueError("values that end before they start")
    return begin, end


def tensor(entry: dict[str, Any], raw: bytes) -> Array:
    """Decode the array of a header entry."""
    if entry["dtype"] not in TYPES:
        raise ValueError(f"values of type {str(entry['dtype'])[:20]} are not supported")
    code, shape = TYPES[entry["dtype"]], checked_sizes(entry["shape"], "a shape")
    if len(raw) != math.prod(shape) * item_bytes(code):
        raise ValueError(f"{len(raw)} bytes for a tensor of shape {shape[:8]}")
    return decode(raw, code).reshape(shape)
