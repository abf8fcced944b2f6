"""Columns of a table as one file: an uncompressed npz that `numpy.load` reads, and that is read here within its size.

Texts are a column of UTF-8 bytes and one of the ends of the texts in it. Equal columns give equal bytes.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

BYTES, ENDS = ".utf8", ".ends"
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time of every member: the first one that a zip archive knows."""

Array = np.ndarray[Any, np.dtype[Any]]


def text_columns(name: str, texts: Sequence[str]) -> dict[str, Array]:
    """The two columns of texts."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64) if encoded else np.zeros(0, np.int64)
    return {name + BYTES: np.frombuffer(b"".join(encoded), np.uint8), name + ENDS: ends}


def encode_columns(columns: Mapping[str, Array]) -> bytes:
    """The file of columns, each of one axis or two."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, column in columns.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(column), (1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", LONG_AGO), content.getvalue())
    return buffer.getvalue()


class Columns:
    """The columns of a file. Every method raises ValueError for what is not as it was written."""

    def __init__(self, raw: bytes) -> None:
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(raw))
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise ValueError(f"it is no table: {error}") from error

    def array(self, name: str, kind: str, length: int | None = None, width: int | None = None) -> Array:
        """A column of a type such as `<i8`, with so many rows if that is given, and so many values in each."""
        content = self._content(name)
        try:
            version = np.lib.format.read_magic(content)
            if version != (1, 0):
                raise ValueError(f"version {version}")
            shape, is_fortran, found = np.lib.format.read_array_header_1_0(content)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
            raise ValueError(f"its column {name} is no array") from error
        raw, wanted = content.read(), np.dtype(kind)
        axes = 1 if width is None else 2
        is_as_said = found == wanted and not is_fortran and len(shape) == axes and shape[1:] == (width,)[: axes - 1]
        if not is_as_said or shape[0] * (width or 1) * wanted.itemsize != len(raw):
            raise ValueError(f"its column {name} has another type or length than its content")
        if length is not None and shape[0] != length:
            raise ValueError(f"its column {name} has {shape[0]} rows, not {length}")
        return np.frombuffer(raw, wanted).reshape(shape)

    def texts(self, name: str, length: int | None = None) -> list[str]:
        """A column of texts."""
        ends = self.array(name + ENDS, "<i8", length)
        raw = self.array(name + BYTES, "|u1").tobytes()
        check_ends(ends, len(raw), name)
        places = ends.tolist()
        try:
            return [raw[start:end].decode() for start, end in zip([0, *places[:-1]], places, strict=True)]
        except UnicodeDecodeError as error:
            raise ValueError(f"its column {name} is not UTF-8") from error

    def _content(self, name: str) -> io.BytesIO:
        try:
            info = self._archive.getinfo(f"{name}.npy")
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
                raise ValueError(f"its column {name} is compressed or encrypted")
            return io.BytesIO(self._archive.read(info))
        except KeyError:
            raise ValueError(f"it has no column {name}") from None
        except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError, RuntimeError) as error:
            raise ValueError(f"its column {name} cannot be read: {error}") from error


def check_ends(ends: Array, count: int, name: str) -> None:
    """Raise ValueError unless the ends (N,) divide so many values into parts."""
    last = int(ends[-1]) if len(ends) else 0
    if last != count or (len(ends) and ends[0] < 0) or bool((ends[1:] < ends[:-1]).any()):
        raise ValueError(f"the parts of its column {name} do not fit together")
