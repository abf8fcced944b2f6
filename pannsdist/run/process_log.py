"""The log of one process, read line by line with the times that were noted beside it, and in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pannsdist.run.launching import log_times
from pannsdist.run.launching.ranks import NOISE

BLOCK = LONGEST_LINE = 1 << 16
"""So much is read at once, and held of a line: a longer one is shown in pieces."""


@dataclass(frozen=True)
class LogLine:
    """A line that a process has printed, and when it was seen, in seconds since 1970; 0 if never.

    Of a run on several nodes it is the clock of the master.
    """

    time_s: float
    rank: int
    text: str

    def __str__(self) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(self.time_s)) if self.time_s else "--:--:--"
        return f"{clock} rank {self.rank}  {self.text}"


class ProcessLog:
    """The log `workerlog.N` of a process, from its beginning. No file stays open between two lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._number = self._rank = int(path.suffix[1:])
        self._read = self._times_read = self._seen = 0
        self._time_s = 0.0
        self._part = b""

    def skip_to_last(self, count: int) -> None:
        """Leave out all but the last `count` lines."""
        self._read = _start_of_last(self.path, count)

    def ranks(self) -> set[int]:
        """The ranks that its process had in the run."""
        noted = {rank for _, rank, _, _ in self._looks(0)}
        return noted or {self._number}

    def lines(self, has_ended: bool) -> Iterator[LogLine]:
        """What was added from the last call to this one, in the order of the file, times never going back.

        Until it `has_ended`, a line whose time is not noted yet is left for the next call, once, and a line that is not
        complete until it is. Lines of Paddle's C++ side that every start prints are left out.
        """
        times = self.path.with_name(log_times.FILE)
        times_size = times.stat().st_size if times.is_file() else 0
        return self._lines(times_size, self.path.stat().st_size, has_ended)

    def _lines(self, times_size: int, size: int, has_ended: bool) -> Iterator[LogLine]:
        for time_s, rank, noted, end in self._looks(self._times_read):
            if end > times_size:
                break
            self._rank, self._time_s, self._times_read = rank, max(self._time_s, time_s), end
            yield from self._up_to(noted)
        yield from self._up_to(size if has_ended else self._seen)
        self._seen = size
        if has_ended and self._part:
            yield self._line(self._part)
            self._part = b""

    def _looks(self, begin: int) -> Iterator[tuple[float, int, int, int]]:
        """Time, rank and length of this log at each look from byte `begin` of the times, and where the next begins."""
        for (time_s, first, sizes), end in log_times.records(self.path.parent, begin):
            if self._number < len(sizes):
                yield time_s, first + self._number, sizes[self._number], end

    def _up_to(self, end: int) -> Iterator[LogLine]:
        while self._read < end and (block := _block(self.path, self._read, end)):
            self._read += len(block)
            *whole, self._part = (self._part + block).split(b"\n")
            if len(self._part) > LONGEST_LINE:
                whole, self._part = [*whole, self._part], b""
            lines = map(self._line, whole)
            yield from (line for line in lines if not NOISE.match(line.text))

    def _line(self, raw: bytes) -> LogLine:
        return LogLine(self._time_s, self._rank, raw.decode(errors="replace").rstrip("\r"))


def _block(path: Path, begin: int, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(begin)
        return file.read(min(BLOCK, end - begin))


def _start_of_last(path: Path, count: int) -> int:
    """Where the last `count` lines of a file begin, read from its end."""
    end = path.stat().st_size
    missing = count + (_block(path, max(0, end - 1), end) == b"\n")
    while end:
        begin = max(0, end - BLOCK)
        block = _block(path, begin, end)
        if (found := block.count(b"\n")) >= missing:
            at = len(block)
            for _ in range(missing):
                at = block.rfind(b"\n", 0, at)
            return begin + at + 1
        missing, end = missing - found, begin
    return 0
