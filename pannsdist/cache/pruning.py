"""The bound of the cache: packs that were not used for the longest time are removed first."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pannsdist.cache.pack import (
    ARRAYS,
    ENTRY,
    INDEX,
    NAME,
    UNLOCKED_S,
    indexes,
    mapped,
    place_of,
    read_entries,
    remove_unless_written,
)
from pannsdist.runtime import storage
from pannsdist.runtime.errors import CannotWrite

FORMAT = 2
"""Of packs and keys. The folder of a recipe depends on it, so packs of another version are never read."""
RECIPE_FILE = f"recipe-{FORMAT}.json"
_FOLDER = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class PackState:
    """A pack on disk: its index file, its size in bytes, and when it was last written or used."""

    index: Path
    size: int
    used_s: float


def recipe_folders(root: Path) -> list[Path]:
    """The folders of recipes in a cache. Whatever else lies in its folder is left alone. Empty where there is none."""
    with suppress(OSError):
        return sorted(path for path in root.iterdir() if _FOLDER.fullmatch(path.name) and path.is_dir())
    return []


def packs(root: Path) -> list[PackState]:
    """The packs of a whole cache, the one that was used longest ago first. What vanishes meanwhile is left out."""
    found = []
    for folder in recipe_folders(root):
        for index in indexes(folder):
            with suppress(OSError):
                status, data = index.stat(), index.with_suffix(ARRAYS).stat()
                found.append(PackState(index, status.st_size + data.st_size, status.st_mtime))
    return sorted(found, key=lambda pack: (pack.used_s, pack.index))


def mark_used(index: Path) -> None:
    """Note that a pack is used now; without effect in a cache that this user may only read."""
    with suppress(CannotWrite):
        storage.touch(index)


def prune(root: Path, limit_bytes: int, kept: Collection[Path] = (), since_s: float = float("inf")) -> int:
    """Remove packs until the rest is within the limit; returns the bytes of the rest.

    Those that a process is writing stay, those whose index is in `kept`, and those that were used after `since_s`. A
    process that has a removed pack mapped can still read it. Any process may call this at any time.
    """
    found = packs(root)
    total = sum(pack.size for pack in found)
    for pack in found:
        if total <= limit_bytes or pack.used_s >= since_s:
            break
        with suppress(OSError, CannotWrite):
            if pack.index not in kept and remove_unless_written(pack.index):
                total -= pack.size
    _remove_leftovers(root)
    return total


def _remove_leftovers(root: Path) -> None:
    """Files of packs whose other file is gone, since a process was killed between the two."""
    for folder in recipe_folders(root):
        for path in folder.glob(f"*{ARRAYS}"):
            with suppress(OSError, CannotWrite):
                is_old = time.time() - path.stat().st_mtime > UNLOCKED_S
                if is_old and NAME.fullmatch(path.stem) and not path.with_suffix(INDEX).exists():
                    storage.remove(path)


@dataclass(frozen=True)
class Checked:
    """What `check` found in a pack: its arrays, and how many of them are damaged; `readable` if this version made it.

    A pack of another version is not looked into, and removed when room is needed.
    """

    index: Path
    arrays: int
    damaged: int
    size: int
    readable: bool = True


def check(root: Path, progress: Callable[[int], object] = lambda _: None) -> list[Checked]:
    """Read every array of a cache, and compare it with its checksum; `progress` is called with the bytes done.

    One that is damaged does not count where another pack, or the same one, has it intact: it was made again. Raises
    OSError where the disk fails.
    """
    found: list[tuple[PackState, list[bytes], int]] = []
    good: set[tuple[Path, bytes]] = set()
    for pack in packs(root):
        bad: list[bytes] = []
        entries = read_entries(pack.index) if _is_readable(pack.index) else np.zeros(0, ENTRY)
        data = mapped(pack.index.with_suffix(ARRAYS)) if len(entries) else np.zeros(0, np.uint8)
        for entry in entries:
            key = entry["key"].tobytes()
            if place_of(pack.index, entry).read(key, data) is None:
                bad.append(key)
            else:
                good.add((pack.index.parent, key))
        found.append((pack, bad, len(entries)))
        progress(pack.size)
    return [
        Checked(
            pack.index,
            count,
            len([key for key in set(bad) if (pack.index.parent, key) not in good]),
            pack.size,
            _is_readable(pack.index),
        )
        for pack, bad, count in found
    ]


def _is_readable(index: Path) -> bool:
    return (index.parent / RECIPE_FILE).exists()
