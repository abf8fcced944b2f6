"""The sounds in tables: a cell of a Parquet file, and a span of bytes of an Arrow file."""

from __future__ import annotations

import errno
import io
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow
from pyarrow import parquet

from pannsdist.contracts import EncodedSource, SourceState, shown

__all__ = ["Cell", "Place", "Span", "Stamp", "TablePath", "open_parquet", "stamp_of"]

TablePath = Path | EncodedSource
"""A table: a file, or an object of a store."""

HELD_BYTES = 64 << 20
"""Decoded sounds that a process keeps; the row group that was read last is kept whatever its size."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Size and version (of a file its time) of a table when its clips were listed: places in it hold for it only."""

    size_bytes: int
    version: str


@contextmanager
def _table(path: TablePath) -> Iterator[None]:
    """Errors of a table as one OSError, of no kind that would concern one clip alone."""
    try:
        yield
    except (pyarrow.ArrowException, KeyError, IndexError, ValueError, OSError) as error:
        is_damage = isinstance(path, Path) and not getattr(error, "errno", None)
        reason = getattr(error, "strerror", None) or str(error).strip()
        what = "is damaged" if is_damage else "cannot be read any more"
        raise OSError(errno.EIO, shown(f"{path} {what}: {reason}")) from error


def stamp_of(path: TablePath) -> Stamp:
    """The stamp of a table. Raises OSError."""
    with _table(path):
        if isinstance(path, EncodedSource):
            state = path.state()
            return Stamp(state.size_bytes, state.version)
        status = path.stat()
        return Stamp(status.st_size, str(status.st_mtime_ns))


@contextmanager
def open_parquet(path: TablePath) -> Iterator[Any]:
    """An open Parquet file that reads what it is asked for, in this thread. Raises OSError and errors of pyarrow."""
    with ExitStack() as opened:
        content = path
        if isinstance(path, EncodedSource):
            content = pyarrow.PythonFile(opened.enter_context(path.open()), mode="r")
        yield opened.enter_context(parquet.ParquetFile(content, pre_buffer=False))


@dataclass(frozen=True, slots=True)
class Place:
    """A row of a table: `row` counts from 0 in the file, and `file_name` is the last part of the sound's own name."""

    path: TablePath
    stamp: Stamp
    row: int
    file_name: str

    def __str__(self) -> str:
        """`TABLE:ROW/SOUND`."""
        return f"{shown(self.path)}:{self.row}/{shown(self.file_name or 'audio')}"

    def refuse_changed(self) -> None:
        """Raise OSError if the table is not the one that was listed."""
        if stamp_of(self.path) != self.stamp:
            raise OSError(errno.ESTALE, f"{shown(self.path)} has changed since its clips were listed")


@dataclass(frozen=True, slots=True)
class Span(EncodedSource):
    """A sound that lies in a file as it is: `size_bytes` from `offset` on."""

    place: Place
    offset: int
    size_bytes: int

    @property
    def name(self) -> str:
        """`TABLE:ROW/SOUND`."""
        return str(self.place)

    def state(self) -> SourceState:
        """Its own size; the version is that of the table."""
        stamp = stamp_of(self.place.path)
        return SourceState(self.size_bytes, f"{stamp.size_bytes}:{stamp.version}")

    def open(self) -> BinaryIO:
        """Its bytes, read when it is opened. Raises OSError."""
        self.place.refuse_changed()
        path = Path(str(self.place.path))
        with _table(path), path.open("rb", buffering=0) as file:
            file.seek(self.offset)
            content = file.read(self.size_bytes)
        if len(content) != self.size_bytes:
            raise OSError(errno.EIO, f"{shown(self.place.path)} ends before this clip")
        return io.BytesIO(content)


@dataclass(frozen=True, slots=True)
class Cell(EncodedSource):
    """A sound in a Parquet file: a value of `column`, in a row group that is decoded as a whole.

    A process keeps the row groups that it decoded last, so clips in the order of the table cost one decoding of each.
    """

    place: Place
    column: str
    row_group: int
    row_in_group: int

    @property
    def name(self) -> str:
        """`TABLE:ROW/SOUND`."""
        return str(self.place)

    def state(self) -> SourceState:
        """The size of the table, since that of a value is not known before it is decoded, and its version."""
        stamp = stamp_of(self.place.path)
        return SourceState(stamp.size_bytes, stamp.version)

    def open(self) -> BinaryIO:
        """Its bytes, decoded with those of its row group. Raises OSError, FileNotFoundError for a null."""
        self.place.refuse_changed()
        with _table(self.place.path):
            value = _HELD.group(self.place, self.column, self.row_group)[self.row_in_group]
        if not value.is_valid:
            raise FileNotFoundError(errno.ENOENT, "its audio is null", self.name)
        return io.BytesIO(value.as_buffer())


class _Groups:
    """The sounds of the row groups that were decoded last, within `HELD_BYTES`."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[TablePath, Stamp, str, int], Any] = OrderedDict()
        self._lock = threading.Lock()

    def group(self, place: Place, column: str, number: int) -> Any:
        """The values of a column in a row group: an array of pyarrow. Raises OSError."""
        key = (place.path, place.stamp, column, number)
        with self._lock:
            if key not in self._held:
                self._held[key] = _decoded(place.path, column, number)
                while len(self._held) > 1 and sum(one.nbytes for one in self._held.values()) > HELD_BYTES:
                    self._held.popitem(last=False)
            self._held.move_to_end(key)
            return self._held[key]


_HELD = _Groups()


def _decoded(path: TablePath, column: str, number: int) -> Any:
    """One row group of one column, decoded in this thread. Raises OSError."""
    with _table(path), open_parquet(path) as file:
        table = file.read_row_group(number, columns=[column], use_threads=False)
        return table.flatten().column(column)
