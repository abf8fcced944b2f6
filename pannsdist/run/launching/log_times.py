"""When the processes of a run printed: their logs have no times, so whoever watches them notes how long they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pannsdist.runtime import storage
from pannsdist.runtime.errors import CannotWrite, UserError
from pannsdist.runtime.json_files import JsonFile

FILE = "times.jsonl"
"""A line for each look at which a log had grown: the time in seconds since 1970, the rank of the first process, and the
bytes of the log of each."""


class LogTimes:
    """Notes how long some logs are, whenever they have grown. `first` is the rank of the first of them."""

    def __init__(self, folder: Path, logs: Sequence[Path], first: int) -> None:
        self._file, self._logs, self._first = folder / FILE, logs, first
        self._sizes = self._look()

    def note(self, now: float) -> None:
        """Note it, as seen at this time in seconds since 1970. Where it cannot be written, the logs are still whole."""
        sizes = self._look()
        if sizes != self._sizes:
            self._sizes = sizes
            record = {"time": round(now, 2), "first": self._first, "bytes": sizes}
            with suppress(CannotWrite):
                storage.append_line(self._file, json.dumps(record))

    def _look(self) -> list[int]:
        return [log.stat().st_size if log.is_file() else 0 for log in self._logs]


def _record(content: Any) -> tuple[float, int, list[int]]:
    return float(content["time"]), int(content["first"]), list(map(int, content["bytes"]))


TIMES = JsonFile(_record, UserError, None)
"""A damaged line is left out: the logs themselves are whole without it."""


def records(folder: Path, begin: int) -> Iterator[tuple[tuple[float, int, list[int]], int]]:
    """Time, rank of the first process and sizes of the logs at each look, from byte `begin`, and where the next begins.

    In order, and read in blocks; no file stays open between two of them.
    """
    path, part = folder / FILE, b""
    while path.is_file() and (block := _block(path, begin + len(part))):
        *whole, part = (part + block).split(b"\n")
        for line in whole:
            begin += len(line) + 1
            if (record := TIMES.parsed(line, path)) is not None:
                yield record, begin


def _block(path: Path, begin: int) -> bytes:
    with path.open("rb") as file:
        file.seek(begin)
        return file.read(1 << 16)
