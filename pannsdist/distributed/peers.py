"""The other processes of a run: whether one of them has ended, and what the remaining ones report then."""

from __future__ import annotations

import ctypes
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pannsdist.runtime import exit_codes, launcher
from pannsdist.runtime.errors import EXIT_STOPPED, PeerLost, UserError

ProcessId = tuple[str, int, str]
"""Machine, number and start time of a process."""
END_DELAY_S = 2.0
"""How long the end of a process may be later than that of its connections."""
CONNECTION_ERROR = re.compile(
    "gloo|nccl|tcp_?store|libuv|socket|connection (closed|reset|refused)|broken pipe|timed? ?out", re.IGNORECASE
)
"""Texts of gloo, NCCL and Paddle's store, which raise RuntimeError, OSError or ValueError for a lost connection."""

_KEPT: list[object] = []


def own_process_id() -> ProcessId | None:
    """This process, for `ended`; None on a system that does not list its processes in /proc."""
    try:
        machine = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{machine} {Path('/proc/self/ns/pid').readlink()}", os.getpid(), _start_time(os.getpid())
    except (OSError, ProcessLookupError):
        return None


def ended(ids: Sequence[ProcessId | None]) -> int | None:
    """The lowest index of a process that has ended; processes of other machines count as running."""
    own = own_process_id()
    for index, process in enumerate(ids):
        if own is None or process is None or process[0] != own[0]:
            continue
        try:
            if _start_time(process[1]) != process[2]:
                return index
        except ProcessLookupError:
            return index
    return None


def _start_time(number: int) -> str:
    """Raises ProcessLookupError if there is no such process, or if it is a zombie."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(number) from None
    if fields[0] in "ZX":
        raise ProcessLookupError(number)
    return fields[19]


def peer_lost(rank: int | None, reason: str = "") -> PeerLost:
    """The error of the remaining processes; `rank` is None where only the connection is known to be lost."""
    if rank is None:
        wrong = f"the connection to another of the {launcher.size()} processes was lost: {reason}"
    else:
        wrong = f"the process of rank {rank} {reason or 'has ended'}"
    path = None if rank is None else launcher.log_of(rank)
    log = "" if path is None else f"its log: {path}\n"
    right = f"{log}checkpoints are complete: the same command continues from the last one, if there is one"
    return PeerLost(wrong, right, launcher.command())


@contextmanager
def reporting_lost_peers(ids: Sequence[ProcessId | None]) -> Iterator[None]:
    """Raise PeerLost in place of the error that a collective raises because a process is gone."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        rank = _ended_soon(ids)
        text = next(filter(None, map(str.strip, reversed(str(error).splitlines()))), type(error).__name__)
        if rank is None and not CONNECTION_ERROR.search(str(error)):
            raise
        raise peer_lost(rank, "" if rank is not None else text) from error


def _ended_soon(ids: Sequence[ProcessId | None]) -> int | None:
    """As `ended`, a little later where none has ended yet."""
    deadline = time.monotonic() + END_DELAY_S
    while (rank := ended(ids)) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return rank


def report_on_abort(ids: Sequence[ProcessId | None]) -> None:
    """Have a C++ exception that nobody catches end this process with PeerLost's message and code if a peer has ended.

    Without a peer that has ended the process aborts as before. A gloo error within `backward` is such an exception
    (Paddle 3.3.1): no Python code could catch it.
    """
    try:
        set_terminate = ctypes.CDLL("libstdc++.so.6")._ZSt13set_terminatePFvvE
    except (OSError, AttributeError):
        return
    set_terminate.argtypes, set_terminate.restype = [ctypes.c_void_p], ctypes.c_void_p
    previous: list[Callable[[], None]] = []

    def terminate() -> None:
        rank = _ended_soon(ids)
        if rank is not None:
            print(f"error: {peer_lost(rank)}", file=sys.stderr, flush=True)
            sys.stdout.flush()
            exit_codes.note(EXIT_STOPPED)
            os._exit(EXIT_STOPPED)
        previous[0]()

    function = ctypes.CFUNCTYPE(None)
    handler = function(terminate)
    _KEPT.append(handler)
    previous.append(function(set_terminate(ctypes.cast(handler, ctypes.c_void_p))))
