"""What the lock file of a folder holds: which process has the folder, and its latest beat, as a JSON object.

Readers ignore keys that they do not know.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from dataclasses import asdict, dataclass
from datetime import datetime

from pannsdist.runtime import processes
from pannsdist.runtime.foreign import parse_json

MAX_BYTES = 4096


@dataclass(frozen=True)
class Holder:
    """A process that has a folder locked.

    `ticks` is its start in clock ticks of the machine start `boot`, `space` is what its process number counts in, and
    `token` tells this lock from every other one.
    """

    host: str
    pid: int
    started: str
    ticks: int = 0
    boot: str = ""
    space: str = ""
    token: str = ""

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, a process that this one sees by its number: not one of another container."""
        if not self.boot:
            return self.host == socket.gethostname()
        return (self.boot, self.space) == (processes.boot_id(), processes.number_space())

    @property
    def is_alive(self) -> bool:
        """Whether that very process still runs, where `is_here`."""
        return self.is_here and bool(self.ticks) and _ticks(self.pid) == self.ticks

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, which started {self.started}"


_FIELDS = {"host": str, "pid": int, "started": str, "ticks": int, "boot": str, "space": str, "token": str}


def this_process() -> Holder:
    """A holder of this process with a token of its own."""
    ticks = _ticks(os.getpid())
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK") if ticks else 0.0
    started = datetime.fromtimestamp(time.time() - age_s).astimezone().isoformat(timespec="seconds")
    return Holder(
        socket.gethostname(),
        os.getpid(),
        started,
        ticks,
        processes.boot_id(),
        processes.number_space(),
        secrets.token_hex(8),
    )


def write(handle: int, holder: Holder, beat: int) -> None:
    """Replace the content of an open lock file. Raises OSError."""
    content = (json.dumps({**asdict(holder), "beat": beat}) + "\n").encode()
    os.pwrite(handle, content, 0)
    os.ftruncate(handle, len(content))  # after it, so that nobody finds the file empty


def content(handle: int) -> bytes:
    """The content of an open lock file. Raises OSError."""
    return os.pread(handle, MAX_BYTES, 0)


def parse(raw: bytes) -> Holder | None:
    """The recorded holder; None where the record is empty, half written, or is no such record."""
    try:
        found = parse_json(raw, "a lock")
        return Holder(**{key: kind(found[key]) for key, kind in _FIELDS.items()})
    except (ValueError, TypeError, KeyError):
        return None


def _ticks(pid: int) -> int:
    """The start of a process; 0 where there is none that runs: one that has ended holds nothing any more."""
    found = processes.process(pid)
    return found.start_ticks if found else 0
