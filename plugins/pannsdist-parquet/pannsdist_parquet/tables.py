"""One table of either kind, opened once to list its clips: its columns without its sounds, and where these are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow
from pyarrow import ipc

from pannsdist.contracts import EncodedSource, UserError, shown
from pannsdist_parquet.sources import Cell, Place, Span, Stamp, TablePath, open_parquet, stamp_of

__all__ = ["Sounds", "Table", "open_table"]

MAX_GROUP_BYTES = 1 << 30
"""Of the sounds of one row group, which are decoded together."""
SMALLER = "write it again with smaller row groups, as pyarrow.parquet.write_table(..., row_group_size=100)"
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
AGAIN = "copy or download the file again; pannsdist reads Parquet files and the Arrow files of save_to_disk"


@dataclass(frozen=True)
class Sounds:
    """A column of sounds: its name, whether it is a struct, and whether that holds `bytes` and a `path`."""

    column: str
    is_struct: bool
    has_bytes: bool
    has_path: bool


class Table(Protocol):
    """An open table; `values` and `paths` have one item per row, None for a null."""

    schema: Any
    rows: int

    def values(self, column: str) -> list[Any]:
        """The values of a column as Python objects."""
        ...

    def paths(self, sounds: Sounds) -> list[str | None]:
        """The paths in the column of sounds."""
        ...

    def sources(self, sounds: Sounds, names: Sequence[str]) -> list[EncodedSource | None]:
        """The sounds, None where a row holds none itself; `names` are their file names."""
        ...


@contextmanager
def open_table(path: TablePath) -> Iterator[Table]:
    """A Parquet or an Arrow file. Raises UserError, also within the block, for what is damaged or not read."""
    try:
        if isinstance(path, Path) and path.suffix.lower() != ".parquet":
            yield _ArrowTable(path, stamp_of(path))
            return
        with open_parquet(path) as file:
            yield _ParquetTable(path, stamp_of(path), file)
    except pyarrow.ArrowNotImplementedError as error:
        raise UserError(f"{shown(path)} cannot be read: {_reason(error)}", AGAIN) from error
    except OSError as error:
        if error.errno is None and isinstance(path, Path):
            raise UserError(f"{shown(path)} is damaged, or no table: {_reason(error)}", AGAIN) from error
        right = "once it can be read, repeat the command"
        raise UserError(f"{shown(path)} cannot be read: {_reason(error)}", right) from error
    except (pyarrow.ArrowException, ValueError, MemoryError, OverflowError) as error:
        raise UserError(f"{shown(path)} is damaged, or no table: {_reason(error)}", AGAIN) from error


def _reason(error: BaseException) -> str:
    text = str(getattr(error, "strerror", None) or error).strip()
    return shown(text.splitlines()[0]) if text else type(error).__name__


class _ParquetTable:
    """A Parquet file. Columns are read one at a time, without threads; of a struct only the field that is needed."""

    def __init__(self, path: TablePath, stamp: Stamp, file: Any) -> None:
        self._path, self._stamp, self._file = path, stamp, file
        self._meta = file.metadata
        self.schema, self.rows = self._file.schema_arrow, self._meta.num_rows
        if self.rows < 0 or sum(group.num_rows for group in self._groups()) != self.rows:
            raise ValueError("its row groups have other numbers of rows than it says")

    def values(self, column: str) -> list[Any]:
        """See Table."""
        self._refuse_bounds(column)
        found: list[Any] = self._file.read(columns=[column], use_threads=False).column(column).to_pylist()
        return found

    def paths(self, sounds: Sounds) -> list[str | None]:
        """See Table."""
        if not sounds.has_path:
            return [None] * self.rows
        if not sounds.is_struct:
            return self.values(sounds.column)
        self._refuse_bounds(f"{sounds.column}.path")
        read = self._file.read(columns=[f"{sounds.column}.path"], use_threads=False).flatten()
        found: list[str | None] = read.column(f"{sounds.column}.path").to_pylist()
        return found

    def sources(self, sounds: Sounds, names: Sequence[str]) -> list[EncodedSource | None]:
        """See Table. A row group whose bytes are partly null has cells, of which reading shows which are."""
        if not sounds.has_bytes:
            return [None] * self.rows
        column = f"{sounds.column}.bytes" if sounds.is_struct else sounds.column
        self._refuse_bounds(column)
        found: list[EncodedSource | None] = []
        for number, group in enumerate(self._groups()):
            chunk = self._chunk(group, column)
            nulls = chunk.statistics.null_count if chunk.statistics and chunk.statistics.has_null_count else 0
            if nulls == group.num_rows:
                found += [None] * nulls
                continue
            if chunk.total_uncompressed_size > MAX_GROUP_BYTES:
                size = f"{chunk.total_uncompressed_size / 1e9:.1f} GB"
                wrong = f"{shown(self._path)}: row group {number} holds {size} of sounds, of which each clip needs all"
                raise UserError(wrong, SMALLER)
            for row in range(group.num_rows):
                place = Place(self._path, self._stamp, len(found), names[len(found)])
                found.append(Cell(place, column, number, row))
        return found

    def _groups(self) -> list[Any]:
        return [self._meta.row_group(number) for number in range(self._meta.num_row_groups)]

    def _chunk(self, group: Any, column: str) -> Any:
        chunks = (group.column(number) for number in range(group.num_columns))
        found = next((chunk for chunk in chunks if chunk.path_in_schema == column), None)
        if found is None:
            raise ValueError(f"a row group has no column {column}")
        return found

    def _refuse_bounds(self, column: str) -> None:
        """Raise for a column, with the fields below it, that is not within the file, or needs an unknown codec."""
        for group in self._groups():
            for number in range(group.num_columns):
                chunk = group.column(number)
                if chunk.path_in_schema != column and not chunk.path_in_schema.startswith(f"{column}."):
                    continue
                codec = chunk.compression.lower()
                if codec != "uncompressed" and not pyarrow.Codec.is_available(codec.split("_")[0]):
                    raise pyarrow.ArrowNotImplementedError(f"{column} needs {codec}, which this pyarrow does not have")
                start = chunk.dictionary_page_offset or chunk.data_page_offset
                if start < 0 or not 0 <= chunk.total_compressed_size <= self._stamp.size_bytes - start:
                    raise ValueError(f"column {column} ends behind the end of the file")


class _ArrowTable:
    """An Arrow file or stream, mapped into memory: of the sounds only the places are looked at."""

    def __init__(self, path: Path, stamp: Stamp) -> None:
        self._path, self._stamp = path, stamp
        with pyarrow.memory_map(str(path)) as mapped:
            self._whole = mapped.read_buffer()
        is_file = self._whole[:6].to_pybytes() == b"ARROW1" if stamp.size_bytes >= 6 else False
        if is_file:
            opened = ipc.open_file(pyarrow.BufferReader(self._whole))
            self._batches = [opened.get_batch(number) for number in range(opened.num_record_batches)]
        else:
            opened = ipc.open_stream(pyarrow.BufferReader(self._whole))
            self._batches = list(opened)
            if self._whole[-8:].to_pybytes() != END_OF_STREAM:
                raise ValueError("its end is missing")
        for batch in self._batches:  # pyarrow ends the process where an array of a false length is looked at
            if batch.num_rows < 0:
                raise ValueError("a batch has less than no rows")
            batch.validate()
        self.schema, self.rows = opened.schema, sum(batch.num_rows for batch in self._batches)

    def values(self, column: str) -> list[Any]:
        """See Table."""
        return [value for batch in self._batches for value in _checked(batch.column(column)).to_pylist()]

    def paths(self, sounds: Sounds) -> list[str | None]:
        """See Table."""
        if not sounds.has_path:
            return [None] * self.rows
        if not sounds.is_struct:
            return self.values(sounds.column)
        parts = (batch.column(sounds.column).field("path") for batch in self._batches)
        return [value for part in parts for value in _checked(part).to_pylist()]

    def sources(self, sounds: Sounds, names: Sequence[str]) -> list[EncodedSource | None]:
        """See Table."""
        if not sounds.has_bytes:
            return [None] * self.rows
        found: list[EncodedSource | None] = []
        for batch in self._batches:
            column = batch.column(sounds.column)
            part = column.field("bytes") if sounds.is_struct else column
            valid = part.is_valid().to_numpy(zero_copy_only=False)
            for is_valid, (start, end) in zip(valid, self._spans(part), strict=True):
                place = Place(self._path, self._stamp, len(found), names[len(found)])
                found.append(Span(place, int(start), int(end - start)) if is_valid else None)
        return found

    def _spans(self, part: Any) -> np.ndarray:
        """Where in the file each value begins and ends: (rows, 2) int64. Raises ValueError."""
        if not len(part):
            return np.zeros((0, 2), np.int64)
        _, offsets, data = part.buffers()
        wide = pyarrow.types.is_large_binary(part.type)
        ends = np.frombuffer(offsets, np.int64 if wide else np.int32)[part.offset : part.offset + len(part) + 1]
        if len(ends) != len(part) + 1 or ends[0] < 0 or (np.diff(ends) < 0).any():
            raise ValueError("the offsets of its sounds are not in order")
        held = data.size if data else 0
        if ends[-1] > held:
            raise ValueError("a sound ends behind the end of the data")
        begin = data.address - self._whole.address if held else 0
        if not 0 <= begin <= self._whole.size - held:
            wrong = f"{shown(self._path)}: its sounds are compressed, so that each clip would need those of its batch"
            raise UserError(wrong, "datasets writes Arrow files without compression; or make it a Parquet file")
        return np.asarray(begin + np.stack([ends[:-1], ends[1:]], axis=1).astype(np.int64))


def _checked(values: Any) -> Any:
    """An array whose offsets lie within its data. Raises ArrowInvalid."""
    values.validate(full=True)
    return values
