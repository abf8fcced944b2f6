"""A TensorBoard event file without duplicate steps of a tag, also after resuming.

TensorBoard itself discards events overridden by a second file, but other readers show both. A file is a sequence of
records: length (8 bytes, little-endian), its checksum (4 bytes), a serialized Event, and its checksum (4 bytes).
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pannsdist.contracts.writing import make_folder, remove

LENGTH = struct.Struct("<Q")
CHECKSUM_BYTES = 4
PATTERN = "events.out.tfevents.*"
ONCE = "_hparams_/"
"""Prefix of tags that belong to the start of a run, not to a step; rewritten at each start."""


class EventLog:
    """The events of one run in `folder`. Earlier events up to step `from_step` are kept."""

    def __init__(self, folder: Path, from_step: int) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import RecordWriter

        make_folder(folder)
        older = sorted(folder.glob(PATTERN))
        kept = _kept(older, from_step)
        self._event, self._last = Event, {tag: step for tag, step in kept}  # noqa: C416 - the last step wins
        stamp = max([int(time.time()), *(_stamp(path) + 1 for path in older)])
        self._path = folder / f"events.out.tfevents.{stamp:010d}.pannsdist"
        self._writer = RecordWriter(str(self._path))
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        for event in kept.values():
            self._write(event)
        self.flush()
        for path in older:
            remove(path)

    def add(self, summary: Any, step: int, wall_time_s: float) -> None:
        """Write the summary of a tag at a step, unless it was kept from an earlier file."""
        tag = summary.value[0].tag
        if tag.startswith(ONCE) or step > self._last.get(tag, -1):
            self._write(self._event(wall_time=wall_time_s, step=step, summary=summary))

    def flush(self) -> None:
        """Flush all events to disk."""
        self._writer.flush()
        with self._path.open("rb") as file:
            os.fsync(file.fileno())

    def close(self) -> None:
        """Write remaining events and close the file."""
        self._writer.close()

    def _write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())


def read_events(path: Path) -> Iterator[Any]:
    """The complete events of a file, up to its end or truncation."""
    from google.protobuf.message import DecodeError
    from tensorboardX.proto.event_pb2 import Event

    content = path.read_bytes()
    place = 0
    while place + LENGTH.size <= len(content):
        (length,) = LENGTH.unpack_from(content, place)
        place += LENGTH.size + CHECKSUM_BYTES
        frame = content[place : place + length]
        place += length + CHECKSUM_BYTES
        if len(frame) < length:
            return
        try:
            yield Event.FromString(frame)
        except DecodeError:
            return


def _stamp(path: Path) -> int:
    middle = path.name.split(".")[3]
    return int(middle) if middle.isdigit() else 0


def _kept(paths: list[Path], last_step: int) -> dict[tuple[str, int], Any]:
    """The events of the files up to a step, one per (tag, step), ordered by step."""
    kept: dict[tuple[str, int], Any] = {}
    for path in paths:
        for event in read_events(path):
            for value in event.summary.value:
                if event.step <= last_step and not value.tag.startswith(ONCE):
                    kept[value.tag, event.step] = event
    return dict(sorted(kept.items(), key=lambda item: item[0][1]))
