"""The logs of all processes of a run as one, in the order of time."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pannsdist.run.launching import log_times
from pannsdist.run.launching.command import LOG_FOLDER
from pannsdist.run.launching.ranks import NOISE
from pannsdist.runtime import reading
from pannsdist.runtime.errors import BadRunFolder, shell_command

NODE_FOLDER = "node-*"
FOLLOW_S = 0.5
LOG = re.compile(r"workerlog\.(\d+)")


@dataclass(frozen=True, order=True)
class LogLine:
    """A line that a process has printed, and when it was seen, in seconds since 1970 of its node's clock.

    `number` counts the lines of its `log`.
    """

    time_s: float
    rank: int
    number: int
    log: Path
    text: str

    def __str__(self) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(self.time_s)) if self.time_s else "--:--:--"
        return f"{clock} rank {self.rank}  {self.text}"


def merged(run: Path, rank: int | None = None) -> list[LogLine]:
    """The lines of all processes of a run, or of one, in the order of time. Raises BadRunFolder without logs.

    Lines of Paddle's C++ side that every start prints are left out. A line whose time nobody noted comes first.
    """
    folders = [run / LOG_FOLDER, *sorted((run / LOG_FOLDER).glob(NODE_FOLDER))]
    lines = [line for folder in folders for line in _of_node(folder) if rank in (None, line.rank)]
    if not any(_logs(folder) for folder in folders):
        wrong = f"{run} has no logs of processes"
        right = "a run of one process prints to its terminal alone; several leave a log each"
        raise BadRunFolder(wrong, right, shell_command("ls", run))
    return sorted(lines)


def followed(run: Path, rank: int | None = None) -> Iterator[LogLine]:
    """As `merged`, then the lines that are added, without end."""
    seen: set[tuple[Path, int]] = set()
    while True:
        for line in merged(run, rank):
            if (line.log, line.number) not in seen:
                seen.add((line.log, line.number))
                yield line
        time.sleep(FOLLOW_S)


def _logs(folder: Path) -> dict[int, Path]:
    """The logs in a folder by the number of the process on its node."""
    found = {name: LOG.fullmatch(name) for name in (reading.names_in(folder) if reading.is_folder(folder) else ())}
    return {int(match[1]): folder / name for name, match in found.items() if match}


def _of_node(folder: Path) -> Iterator[LogLine]:
    times = log_times.read(folder)
    for local, path in _logs(folder).items():
        looks = [(at, first, sizes[local]) for at, first, sizes in times if local < len(sizes)]
        end = look = 0
        for number, raw in enumerate(reading.bytes_or_empty(path).splitlines(keepends=True)):
            end += len(raw)
            while look < len(looks) and looks[look][2] < end:
                look += 1
            at, first = looks[look][:2] if look < len(looks) else (looks[-1][:2] if looks else (0.0, 0))
            text = raw.decode(errors="replace").rstrip("\r\n")
            if raw.endswith(b"\n") and not NOISE.match(text):
                yield LogLine(at, first + local, number, path, text)
