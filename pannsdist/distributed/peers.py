"""The other processes of a run: what a collective raises once one of them is gone, and those of this machine."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from pannsdist.distributed.verdict import Verdict, peer_lost
from pannsdist.runtime import processes
from pannsdist.runtime.errors import UserError

ProcessId = tuple[str, int, int]
"""Machine, number and start time of a process."""
END_DELAY_S = 2.0
"""How much later than a lost connection of a collective the end of the process at its other end may be known."""
CONNECTION_ERROR = re.compile(
    "gloo|nccl|tcp_?store|libuv|socket|connection (closed|reset|refused)|broken pipe|timed? ?out", re.IGNORECASE
)
"""Texts of gloo, NCCL and Paddle's store, which raise RuntimeError, OSError or ValueError for a lost connection."""


def own_process_id() -> ProcessId | None:
    """This process, for `continue_stopped`; None on a system that does not list its processes in /proc."""
    own = processes.process(os.getpid())
    place = f"{processes.boot_id()} {processes.number_space()}"
    return (place, own.number, own.start_ticks) if own else None


def continue_stopped(process: ProcessId | None) -> None:
    """Have a process of this machine go on that a signal has stopped: it then writes its stacks, and ends."""
    own = own_process_id()
    if own is None or process is None or process[0] != own[0]:
        return
    found = processes.process(process[1])
    if found is not None and found.start_ticks == process[2]:
        with suppress(OSError):
            os.kill(process[1], signal.SIGCONT)


@contextmanager
def reporting_lost_peers(verdict: Callable[[float], Verdict | None]) -> Iterator[None]:
    """Raise PeerLost in place of the error that a collective raises because a process is gone.

    `verdict(seconds)` says which one it is, if that is known within so many seconds.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        known = verdict(END_DELAY_S)
        if known is not None:
            raise known.error() from error
        if not CONNECTION_ERROR.search(str(error)):
            raise
        text = next(filter(None, map(str.strip, reversed(str(error).splitlines()))), type(error).__name__)
        raise peer_lost(None, text) from error
