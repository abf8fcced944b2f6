"""Memory, /dev/shm, limits and clock of this machine."""

from __future__ import annotations

import ctypes
import os
import resource
import time
from pathlib import Path

from pannsdist.audio.workers.slots import shared_memory
from pannsdist.run.doctor.facts import Machine
from pannsdist.runtime import cpu

SHM = Path("/dev/shm")  # noqa: S108 - looked at alone
TIMEX_BYTES, TIME_ERROR = 512, 5
"""More than `struct timex` takes; what adjtimex returns for a clock that is not synchronised (adjtimex(2))."""


def machine() -> Machine:
    """What this process may use of the machine."""
    import psutil

    size, free = _shared_memory()
    return Machine(
        cores=cpu.cores(),
        memory_free=psutil.virtual_memory().available,
        shm_size=size,
        shm_free=free,
        memfd=_memfd(),
        open_files=_limit(resource.RLIMIT_NOFILE),
        locked_memory=_limit(resource.RLIMIT_MEMLOCK),
        clock_s=time.time(),
        clock_synchronised=_synchronised(),
    )


def _shared_memory() -> tuple[int | None, int | None]:
    """Size of /dev/shm and what is free, in bytes; None without it."""
    try:
        found = os.statvfs(SHM)
    except OSError:
        return None, None
    return found.f_frsize * found.f_blocks, found.f_frsize * found.f_bavail


def _limit(kind: int) -> int | None:
    soft, _ = resource.getrlimit(kind)
    return None if soft == resource.RLIM_INFINITY else soft


def _memfd() -> str:
    """Why this process cannot make memory that its workers share; empty if it can."""
    found = shared_memory()
    if isinstance(found, str):
        return found
    os.close(found)
    return ""


def _synchronised() -> bool | None:
    """Whether the kernel takes its clock for synchronised; None where it does not tell."""
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != TIME_ERROR
