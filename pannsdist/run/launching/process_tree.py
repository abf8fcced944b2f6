"""The processes that this one has started, and those that these have started: none of them is left behind."""

from __future__ import annotations

import ctypes
import os
import signal
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from pannsdist.runtime import processes

_LIBC_PRCTL = getattr(ctypes.CDLL(None), "prctl", None)
"""Looked up here: a child that is being started may not."""
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h


def adopt_orphans() -> None:
    """Become the parent of processes whose own parent ends before them, so that they are found; on Linux alone."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """Get SIGTERM when the parent ends, also when it is killed; on Linux alone. For the start of a child."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def descendants(root: int) -> list[int]:
    """Processes below `root` that run, the nearest first; none on a system without /proc."""
    children = defaultdict(list)
    for folder in Path("/proc").glob("[0-9]*"):
        if found := processes.process(int(folder.name)):
            children[found.parent].append(found.number)
    below_root, waiting = list[int](), [root]
    while waiting:
        below = children[waiting.pop(0)]
        below_root += below
        waiting += below
    return below_root


def kill_descendants(root: int) -> None:
    """Kill all processes below `root`, also those that are started meanwhile."""
    for _ in range(10):
        alive = descendants(root)
        if not alive:
            return
        for number in alive:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)


def reap() -> None:
    """Collect adopted processes that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _prctl(option: int, value: int) -> None:
    if _LIBC_PRCTL is not None:
        _LIBC_PRCTL(option, value, 0, 0, 0)
