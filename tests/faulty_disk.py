"""A disk that fails: the system refuses to open, list, remove or rename chosen paths, whatever function does it.

Python announces each call to the system as an audit event; raising there is as if the system had answered so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

EVENTS = ("open", "os.listdir", "os.scandir")
REMOVAL = ("shutil.rmtree", "os.remove", "os.rmdir")
RENAMING = ("os.rename", "os.symlink", "os.mkdir")
_faults: list[list[Any]] = []


def _fail(event: str, arguments: tuple[object, ...]) -> None:
    if (
        not _faults
        or not any(event in fault[3] for fault in _faults)
        or not isinstance(arguments[0], str | bytes | os.PathLike)
    ):
        return
    path = os.fsdecode(arguments[0])
    for fault in _faults:
        ending, number, left, events = fault
        if event in events and path.endswith(ending) and left > 0:
            fault[2] = left - 1
            raise OSError(number, os.strerror(number), path)


sys.addaudithook(_fail)


@contextmanager
def failing(ending: str | Path, number: int, times: int = 10**9, events: tuple[str, ...] = EVENTS) -> Iterator[None]:
    """Within the block the first `times` attempts to open or list a path with this ending fail, or other `events`."""
    _faults.append([str(ending), number, times, events])
    try:
        yield
    finally:
        _faults.pop()
