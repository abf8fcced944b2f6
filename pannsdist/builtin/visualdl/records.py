"""A VisualDL record file without duplicate steps when a run is resumed.

Observed with VisualDL 2.5.3: its server and reader show only the file of a folder whose name sorts last, so a resumed
run must copy its earlier records into the new file. A file is a sequence of frames, each with 8 bytes of length
(little-endian) and a serialised Record; a killed process can leave the last one truncated.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pannsdist.contracts.writing import make_folder, remove

HEADER = struct.Struct("<Q")
PATTERN = "vdlrecords.*.log"
ONCE = ("hparam", "meta_data")
"""Types of records that belong to the start of a run, not to a step; they are rewritten each time."""


class RecordLog:
    """The records of one run in `folder`. Records up to `from_step` are kept."""

    def __init__(self, folder: Path, from_step: int) -> None:
        from visualdl.writer.record_writer import RecordFileWriter

        make_folder(folder)
        older = sorted(folder.glob(PATTERN))
        kept = _kept(older, from_step)
        self._last = {(kind, tag): step for kind, tag, step in kept}
        stamp = max([int(time.time()), *(_stamp(path) + 1 for path in older)])
        self._file = RecordFileWriter(logdir=str(folder), filename=f"vdlrecords.{stamp:010d}.log", flush_secs=10)
        for record in kept.values():
            self._file.add_record(record)
        self._file.flush()
        for path in older:
            remove(path)

    def add(self, record: Any) -> None:
        """Write a record, unless its step was kept."""
        value = record.values[0]
        kind = value.WhichOneof("one_value")
        if kind in ONCE or value.id > self._last.get((kind, value.tag), -1):
            self._file.add_record(record)

    def flush(self) -> None:
        """Flush all records to the file."""
        self._file.flush()

    def close(self) -> None:
        """Flush and close the file."""
        self._file.close()


def _stamp(path: Path) -> int:
    middle = path.name.split(".")[1]
    return int(middle) if middle.isdigit() else 0


def _kept(paths: list[Path], last_step: int) -> dict[tuple[str, str, int], Any]:
    """Records of the files up to a step, unique by (type, tag, step), sorted by step."""
    kept: dict[tuple[str, str, int], Any] = {}
    for path in paths:
        for record in read_records(path):
            value = record.values[0]
            kind = value.WhichOneof("one_value")
            if kind not in ONCE and value.id <= last_step:
                kept[kind, value.tag, value.id] = record
    return dict(sorted(kept.items(), key=lambda item: item[0][2]))


def read_records(path: Path) -> Iterator[Any]:
    """Complete records of a file, up to the first truncated one."""
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
