"""A disk that fails: the system refuses to open or list chosen paths, whatever function opens them.

Python announces each call to the system as an audit event; raising there is as if the system had answered so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EVENTS = ("open", "os.listdir", "os.scandir")
_faults: list[list[object]] = []


def _fail(event: str, arguments: tuple[object, ...]) -> None:
    if not _faults or event not in EVENTS or not isinstance(arguments[0], str | bytes | os.PathLike):
        return
    path = os.fsdecode(arguments[0])
    for fault in _faults:
        ending, number, left = fault
        if path.endswith(str(ending)) and int(left) > 0:  # type: ignore[call-overload]
            fault[2] = int(left) - 1  # type: ignore[call-overload]
            raise OSError(number, os.strerror(int(number)), path)  # type: ignore[call-overload]


sys.addaudithook(_fail)


@contextmanager
def failing(ending: str | Path, number: int, times: int = 10**9) -> Iterator[None]:
    """Within the block the first `times` attempts to open or list a path with this ending fail."""
    _faults.append([str(ending), number, times])
    try:
        yield
    finally:
        _faults.pop()
