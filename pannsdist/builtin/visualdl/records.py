"""VisualDL's file of records, kept as one file in which no step of a tag stands twice.

Measured with VisualDL 2.5.3: its server and its reader show of each folder only the file whose name sorts last, so a
run that goes on must carry its earlier records over into the new file. A file is a row of frames, each 8 bytes of
length (little-endian) and a serialised Record; a process that is killed can leave the last one cut off.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEADER = struct.Struct("<Q")
PATTERN = "vdlrecords.*.log"
ONCE = ("hparam", "meta_data")
"""Kinds of records that belong to a run's start, not to a step: written anew each time."""


class RecordLog:
    """The records of one run in `folder`. What was written up to step `from_step` is carried over."""

    def __init__(self, folder: Path, from_step: int) -> None:
        from visualdl.writer.record_writer import RecordFileWriter

        folder.mkdir(parents=True, exist_ok=True)
        older = sorted(folder.glob(PATTERN))
        kept = _kept(older, from_step)
        self._last = {(kind, tag): step for kind, tag, step in kept}
        stamp = max([int(time.time()), *(_stamp(path) + 1 for path in older)])
        self._file = RecordFileWriter(logdir=str(folder), filename=f"vdlrecords.{stamp:010d}.log", flush_secs=10)
        for record in kept.values():
            self._file.add_record(record)
        self._file.flush()
        for path in older:
            path.unlink()

    def add(self, record: Any) -> None:
        """Write a record, unless its step was carried over."""
        value = record.values[0]
        kind = value.WhichOneof("one_value")
        if kind in ONCE or value.id > self._last.get((kind, value.tag), -1):
            self._file.add_record(record)

    def flush(self) -> None:
        """Have every record in the file."""
        self._file.flush()

    def close(self) -> None:
        """Write what is left and close the file."""
        self._file.close()


def _stamp(path: Path) -> int:
    middle = path.name.split(".")[1]
    return int(middle) if middle.isdigit() else 0


def _kept(paths: list[Path], last_step: int) -> dict[tuple[str, str, int], Any]:
    """The records of the files up to a step, each (kind, tag, step) once, in the order in which they were written."""
    kept: dict[tuple[str, str, int], Any] = {}
    for path in paths:
        for record in read_records(path):
            value = record.values[0]
            kind = value.WhichOneof("one_value")
            if kind not in ONCE and value.id <= last_step:
                kept[kind, value.tag, value.id] = record
    return dict(sorted(kept.items(), key=lambda item: item[0][2]))


def read_records(path: Path) -> Iterator[Any]:
    """The whole records of a file, up to its end or to where it was cut off."""
    from google.protobuf.message import DecodeError
    from visualdl.proto.record_pb2 import Record

    content = path.read_bytes()
    place = 0
    while place + HEADER.size <= len(content):
        (length,) = HEADER.unpack_from(content, place)
        place += HEADER.size
        frame = content[place : place + length]
        place += length
        try:
            record = Record.FromString(frame) if len(frame) == length else None
        except DecodeError:
            return
        if record is None or not record.values:
            return
        yield record
