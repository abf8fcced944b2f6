"""TensorBoard's file of events, kept as one file in which no step of a tag stands twice.

TensorBoard itself would let go of what a second file overrides, but other readers of such files show both. A file is a
row of frames: 8 bytes of length (little-endian), their checksum in 4, a serialised Event, and its checksum in 4.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LENGTH = struct.Struct("<Q")
CHECKSUM_BYTES = 4
PATTERN = "events.out.tfevents.*"
ONCE = "_hparams_/"
"""What belongs to a run's start, not to a step: written anew each time."""


class EventLog:
    """The events of one run in `folder`. What was written up to step `from_step` is carried over."""

    def __init__(self, folder: Path, from_step: int) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
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
            path.unlink()

    def add(self, summary: Any, step: int, wall_time_s: float) -> None:
        """Write what one tag has at a step, unless that was carried over."""
        tag = summary.value[0].tag
        if tag.startswith(ONCE) or step > self._last.get(tag, -1):
            self._write(self._event(wall_time=wall_time_s, step=step, summary=summary))

    def flush(self) -> None:
        """Have every event on disk."""
        self._writer.flush()
        with self._path.open("rb") as file:
            os.fsync(file.fileno())

    def close(self) -> None:
        """Write what is left and close the file."""
        self._writer.close()

    def _write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())


def read_events(path: Path) -> Iterator[Any]:
    """The whole events of a file, up to its end or to where it was cut off."""
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
    """The events of the files up to a step, each (tag, step) once, in the order of their steps."""
    kept: dict[tuple[str, int], Any] = {}
    for path in paths:
        for event in read_events(path):
            for value in event.summary.value:
                if event.step <= last_step and not value.tag.startswith(ONCE):
                    kept[value.tag, event.step] = event
    return dict(sorted(kept.items(), key=lambda item: item[0][1]))
