"""The logs of all processes of a run as one, in the order of time."""

from __future__ import annotations

import heapq
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pannsdist.run.launching.command import LOG_FOLDER
from pannsdist.run.listing import is_run
from pannsdist.run.process_log import LogLine, ProcessLog
from pannsdist.runtime import reading
from pannsdist.runtime.errors import BadRunFolder, UserError, shell_command
from pannsdist.runtime.folder_lock import is_held

NODE_FOLDER = "node-"
FOLLOW_S = 0.5
LOG = re.compile(r"workerlog\.\d+")


def merged(run: Path, rank: int | None = None, tail: int | None = None) -> Iterable[LogLine]:
    """The lines of all processes of a run, or of one, in the order of time; the last `tail` alone.

    They are read as they are needed: memory is bounded by the number of processes, and by `tail`. A line whose time
    nobody noted has that of the one before. Raises BadRunFolder where there is no run, UserError where it has no logs,
    or none of that rank.
    """
    logs = _found(run)
    _refuse(run, logs, rank)
    return _first(logs, rank, tail, has_ended=True)


def followed(run: Path, rank: int | None = None, tail: int | None = None) -> Iterator[LogLine]:
    """As `merged`, then the lines that are added, until the run has ended; a run that begins may have no logs yet."""
    if has_ended := not is_running(run):
        _refuse(run, _found(run), rank)
    logs = _found(run)
    yield from _first(logs, rank, tail, has_ended)
    while not has_ended:
        time.sleep(FOLLOW_S)
        has_ended = not is_running(run)
        logs = {**_found(run), **logs}
        yield from _of(logs, rank, has_ended)


def is_running(run: Path) -> bool:
    """Whether a process has the run, or a command still watches its processes, on any machine."""
    return any(map(is_held, (run, *_folders(run))))


def _first(logs: Mapping[Path, ProcessLog], rank: int | None, tail: int | None, has_ended: bool) -> Iterable[LogLine]:
    """What is there. Where one rank is wanted, and its log may hold lines of others, that log is read as a whole."""
    if tail is None:
        return _of(logs, rank, has_ended)
    for log in logs.values():
        if rank is None or log.ranks() == {rank}:
            log.skip_to_last(tail)
    return deque(_of(logs, rank, has_ended), tail)


def _of(logs: Mapping[Path, ProcessLog], rank: int | None, has_ended: bool) -> Iterator[LogLine]:
    streams = [log.lines(has_ended) for log in logs.values()]
    return (line for line in heapq.merge(*streams, key=lambda line: line.time_s) if rank in (None, line.rank))


def _found(run: Path) -> dict[Path, ProcessLog]:
    paths = [folder / name for folder in _folders(run) for name in reading.names_in(folder) if LOG.fullmatch(name)]
    paths.sort(key=lambda path: (path.parent, int(path.suffix[1:])))
    return {path: ProcessLog(path) for path in paths}


def _folders(run: Path) -> list[Path]:
    """The folder of the launcher's logs, and those of the nodes of several in it."""
    top = run / LOG_FOLDER
    return [top, *(top / name for name in reading.names_in(top) if name.startswith(NODE_FOLDER))]


def _refuse(run: Path, logs: Mapping[Path, ProcessLog], rank: int | None) -> None:
    if not logs and not is_run(run):
        raise BadRunFolder(f"{run} is not a run folder", "give the folder of a run, such as runs/NAME", "ls runs")
    if not logs:
        right = "a run of one process prints to its terminal alone; several leave a log each"
        raise UserError(f"{run} has no logs of processes", right, shell_command("ls", run))
    ranks = set().union(*(log.ranks() for log in logs.values()))
    if rank is not None and rank not in ranks:
        right = f"ranks: {', '.join(map(str, sorted(ranks)))}"
        raise UserError(f"{run} has no log of rank {rank}", right, shell_command("pannsdist", "logs", run))
