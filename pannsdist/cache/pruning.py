"""The bound of the cache: packs that were not used for the longest time are removed first."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pannsdist.cache.pack import ARRAYS, INDEX, UNLOCKED_S, is_being_written, mapped, read_index
from pannsdist.runtime import storage
from pannsdist.runtime.errors import CannotWrite


@dataclass(frozen=True)
class PackState:
    """A pack on disk: its index file, its size in bytes, and when it was last written or used."""

    index: Path
    size: int
    used_s: float


def packs(root: Path) -> list[PackState]:
    """The packs of a whole cache, the one that was used longest ago first. What vanishes meanwhile is left out."""
    found = []
    for index in sorted(root.glob(f"*/*{INDEX}")):
        with suppress(OSError):
            status, data = index.stat(), index.with_suffix(ARRAYS).stat()
            found.append(PackState(index, status.st_size + data.st_size, status.st_mtime))
    return sorted(found, key=lambda pack: (pack.used_s, pack.index))


def mark_used(index: Path) -> None:
    """Note that a pack is used now; without effect in a cache that this user may only read."""
    with suppress(CannotWrite):
        storage.touch(index)


def prune(root: Path, limit_bytes: int, kept: Collection[Path] = ()) -> int:
    """Remove packs until the rest is within the limit; returns the bytes of the rest.

    Those that a process is writing stay, and those whose index is in `kept`. A process that has a removed pack mapped
    can still read it. Any process may call this at any time.
    """
    found = packs(root)
    total = sum(pack.size for pack in found)
    for pack in found:
        if total <= limit_bytes:
            break
        with suppress(OSError, CannotWrite):
            if pack.index not in kept and not is_being_written(pack.index):
                remove(pack.index)
                total -= pack.size
    _remove_leftovers(root)
    return total


def remove(index: Path) -> None:
    """Remove a pack: first the index, so that no other process finds arrays that are not there. Raises CannotWrite."""
    storage.remove(index)
    storage.remove(index.with_suffix(ARRAYS))


def _remove_leftovers(root: Path) -> None:
    """Data files whose index is gone, since a process was killed between the two."""
    for path in root.glob(f"*/*{ARRAYS}"):
        with suppress(OSError, CannotWrite):
            is_old = time.time() - path.stat().st_mtime > UNLOCKED_S
            if is_old and not path.with_suffix(INDEX).exists():
                storage.remove(path)


@dataclass(frozen=True)
class Checked:
    """What `check` found in a pack: its arrays, and how many of them are damaged."""

    index: Path
    arrays: int
    damaged: int
    size: int


def check(root: Path) -> Iterator[Checked]:
    """Read every array of a cache, and compare it with its checksum. Raises OSError where the disk fails."""
    for pack in packs(root):
        places = read_index(pack.index)
        data = mapped(pack.index.with_suffix(ARRAYS))
        bad = sum(place.read(key, data) is None for key, place in places.items())
        yield Checked(pack.index, len(places), bad, pack.size)
