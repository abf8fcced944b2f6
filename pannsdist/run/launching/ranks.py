"""What the processes of the launcher left: their exit codes and their last lines. The launcher tells one code alone."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pannsdist.run.launching.log_times import LogTimes
from pannsdist.runtime import exit_codes
from pannsdist.runtime.errors import EXIT_STOPPED, EXIT_USER_ERROR, UserError

SHOWN_LINES = 15
NOISE = re.compile(r"[IW]\d{4} [\d:.]+ +\d+ \S+\.cc:\d+\] |=+( Modified FLAGS detected =+)?$|FLAGS\(name=")
"""Lines that are no error: of Paddle's C++ side at every start."""


def message(output: str) -> str:
    """The last error message of an output, or its last lines."""
    lines = _lines(output)
    starts = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    if not starts:
        return last_lines(output)
    found = [lines[starts[-1]].removeprefix("error: ")]
    for line in lines[starts[-1] + 1 :]:
        if not line.startswith("  "):
            break
        found.append(line)
    return "\n".join(found)


def last_lines(output: str) -> str:
    """The last lines of an output."""
    return "\n".join(_lines(output)[-SHOWN_LINES:])


def _lines(output: str) -> list[str]:
    return [line for line in output.splitlines() if not NOISE.match(line)]


@dataclass(frozen=True)
class Culprit:
    """The process because of which a run ended: `code` is None if it was killed.

    `error` is what it noted; `last_lines` are those of its log.
    """

    rank: int
    code: int | None
    signal: int | None
    error: UserError | None
    last_lines: str
    log: Path

    @property
    def said(self) -> str:
        """Its error, or its last lines."""
        return self.last_lines if self.error is None else str(self.error)

    def __str__(self) -> str:
        if self.code is not None:
            return f"the process of rank {self.rank} ended with exit code {self.code}"
        by = f" by {signal.Signals(self.signal).name}" if self.signal else ""
        return f"the process of rank {self.rank} was killed{by}"

    def lines(self) -> Iterator[str]:
        """Its error or its last lines, with the rank in front of each."""
        return (f"rank {self.rank}: {line}" for line in self.said.splitlines())


class Ranks:
    """The processes of one start of the launcher on this machine, `first` being the rank of the first of them.

    Make it before the start: logs are appended to. The files of a process have its number on this machine.
    """

    def __init__(self, folder: Path, processes: int, first: int = 0) -> None:
        self._folder, self.processes, self._first = folder, processes, first
        self._begins = [self._size(self.log(rank)) for rank in range(processes)]
        self._times = LogTimes(folder, [self.log(rank) for rank in range(processes)], first)
        for rank in range(processes):
            exit_codes.reserve(folder, rank)

    def log(self, rank: int) -> Path:
        """What a process prints."""
        return self._folder / f"workerlog.{rank}"

    def note_times(self, now: float) -> None:
        """Note which of them have printed since, at this time in seconds since 1970; call it often."""
        self._times.note(now)

    def said(self, rank: int, begin: int = 0) -> bytes:
        """What a process has printed since the start, from byte `begin` of that."""
        try:
            with self.log(rank).open("rb") as file:
                file.seek(self._begins[rank] + begin)
                return file.read()
        except FileNotFoundError:
            return b""

    def true_code(self, launcher_code: int) -> int:
        """The exit code of the run: 2 or another failure of a process first, then 75, then what ended the launcher."""
        codes = self._codes()
        if EXIT_USER_ERROR in codes:
            return EXIT_USER_ERROR
        failed = next((code for code in codes if code not in (None, 0, EXIT_STOPPED)), None)
        if failed is not None:
            return failed
        if EXIT_STOPPED in codes:
            return EXIT_STOPPED
        return 0 if codes == [0] * self.processes else _unfolded(launcher_code) or 1

    def culprit(self, launcher_output: str) -> Culprit | None:
        """The first process that failed, else the first that was killed; None if all ended well or were stopped."""
        codes = self._codes()
        failed = [rank for rank, code in enumerate(codes) if code not in (None, 0, EXIT_STOPPED)]
        killed = [rank for rank in self._killed(launcher_output) if codes[rank] is None]
        absent = [rank for rank, code in enumerate(codes) if code is None]
        for rank in (*failed, *killed, *absent):
            number = self._killed(launcher_output).get(rank)
            last = last_lines(self.said(rank).decode(errors="replace"))
            return Culprit(self._first + rank, codes[rank], number, self.error(rank), last, self.log(rank))
        return None

    def error(self, rank: int) -> UserError | None:
        """The error that ended a process, as it noted it."""
        return exit_codes.noted_error(self._folder, rank)

    def _codes(self) -> list[int | None]:
        return [exit_codes.noted(self._folder, rank) for rank in range(self.processes)]

    def _killed(self, launcher_output: str) -> dict[int, int]:
        """Signals by rank, in the words of the launcher; it names the first failure that it sees alone."""
        found = re.findall(r"^Container rank (\d+) status failed .* code -(\d+) log ", launcher_output, re.MULTILINE)
        return {int(rank): int(number) for rank, number in found if int(rank) < self.processes}

    def _size(self, path: Path) -> int:
        return path.stat().st_size if path.is_file() else 0


def as_shell(code: int) -> int:
    """The exit code that a shell gives for one of Python's: 128 + N for signal N."""
    return 128 - code if code < 0 else code


def _unfolded(code: int) -> int:
    """As `as_shell`; the launcher gives 256 - N where a process died of signal N."""
    return 128 + 256 - code if code > 256 - signal.NSIG else as_shell(code)
