"""Reader for the safetensors format: header length (8 bytes), JSON header, raw values."""

from __future__ import annotations

import math
from pathlib import Path
from typing import IO, Any

from pannsdist.runtime.foreign import TooMuch, excerpt, parse_json
from pannsdist.weights.formats.arrays import (
    Array,
    blank,
    checked_shape,
    checked_sizes,
    decode,
    item_bytes,
    listed_sizes,
)
from pannsdist.weights.formats.errors import Damaged, Refused, translate_errors
from pannsdist.weights.formats.section import Section

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


def read_safetensors(path: Path, *, values: bool = True) -> dict[str, Array]:
    """Tensors by name; bfloat16 becomes float32. Without `values` shapes and types only. Raises `BadWeightsFile`."""
    with translate_errors(path, "safetensors"), Path(path).open("rb") as file:
        return safetensors_tree(file, Path(path).stat().st_size, values=values)


def safetensors_tree(file: IO[bytes], file_bytes: int, *, values: bool) -> dict[str, Array]:
    """Parse a safetensors file; damaged bytes may raise any exception.

    As the format requires, the tensors must fill the file after the header without overlaps or gaps.
    """
    if not is_safetensors(file.read(9), file_bytes):
        raise Damaged("its header is truncated")
    source = Section(file, 0, file_bytes)
    header = read_header(source, int.from_bytes(source.take(8), "little"))
    places = {name: bounds(entry) for name, entry in header.items()}
    arrays: dict[str, Array] = {}
    filled = 0
    for name in sorted(places, key=places.__getitem__):
        begin, end = places[name]
        if begin != filled or end - begin > source.left:
            raise Damaged(f"the values of '{excerpt(name)}' overlap, leave a gap, or are truncated")
        arrays[name] = tensor(header[name], source, end - begin, values=values)
        filled = end
    if source.left:
        raise Damaged(f"{source.left} bytes that belong to no tensor")
    return {name: arrays[name] for name in header}


def read_header(source: Section, size: int) -> dict[str, Any]:
    """The entries of the header by name."""
    try:
        header = parse_json(source.take(size), "a header")
    except TooMuch as error:
        raise Refused(str(error)) from error
    except ValueError as error:
        raise Damaged(str(error)) from error
    header.pop("__metadata__", None)
    for name, entry in header.items():
        if not isinstance(entry, dict):
            raise Refused(f"'{excerpt(name)}' is no tensor: its entry is of type {type(entry).__name__}")
    return dict(header)


def bounds(entry: dict[str, Any]) -> tuple[int, int]:
    """Start and end of the values of an entry, relative to the end of the header."""
    found = checked_sizes(entry.get("data_offsets"), "a pair of offsets")
    if len(found) != 2:
        raise Refused(f"{len(found)} offsets of a tensor in place of two")
    begin, end = found
    if begin > end:
        raise Damaged("values that end before they start")
    return begin, end


def tensor(entry: dict[str, Any], source: Section, size: int, *, values: bool) -> Array:
    """Decode the array of a header entry from the next `size` bytes."""
    kind = entry.get("dtype")
    if not isinstance(kind, str) or kind not in TYPES:
        named = f"'{excerpt(kind, 20)}'" if isinstance(kind, str) else f"type {type(kind).__name__}"
        raise Refused(f"values of {named} are not supported")
    shape = checked_shape(entry.get("shape"), TYPES[kind])
    if size != math.prod(shape) * item_bytes(TYPES[kind]):
        raise Damaged(f"{size} bytes for a tensor of shape {listed_sizes(shape)}")
    if not values:
        source.skip(size)
        return blank(TYPES[kind], shape)
    return decode(source.take(size), TYPES[kind]).reshape(shape)
