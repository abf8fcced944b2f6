"""The order in which this process syncs, renames and swaps: what a loss of power may leave follows from it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pannsdist.runtime import storage

_recorded: list[list[tuple[str, str]]] = []


def _record(event: str, arguments: tuple[object, ...]) -> None:
    if _recorded and event == "os.rename":
        source, target = (Path(os.fsdecode(path)).name for path in arguments[:2])  # type: ignore[arg-type]
        _recorded[-1].append(("rename", f"{source} -> {target}"))


sys.addaudithook(_record)


@contextmanager
def recorded() -> Iterator[list[tuple[str, str]]]:
    """The calls within the block: ("sync", name), ("rename", "old -> new") and ("swap", "a <-> b"), without folders."""
    calls: list[tuple[str, str]] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        calls.append(("sync", Path(f"/proc/self/fd/{handle}").readlink().name))
        real(handle)

    swap = storage.swap_paths

    def swap_paths(first: Path, second: Path) -> bool:
        calls.append(("swap", f"{first.name} <-> {second.name}"))
        return swap(first, second)

    _recorded.append(calls)
    os.fsync, storage.swap_paths = fsync, swap_paths
    try:
        yield calls
    finally:
        os.fsync, storage.swap_paths = real, swap
        _recorded.pop()
