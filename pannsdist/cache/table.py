"""The entries of many packs by key, in little memory: a million take 17 MB of a process, whatever their arrays hold.

A process keeps the first bytes of each key, and where its entry is; the entry itself is read when it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from pannsdist.cache.pack import ENTRY, Place, indexes, place_of, read_entries

UNKNOWN, GOOD, BAD = 0, 1, 2
"""What is known of an array: nothing, that its checksum was right in this process, or that it was not."""
AT_ONCE = 1 << 14
"""Entries that are read at a time."""
_PREFIX = np.dtype("<u8")
_ROW_BITS = 32


class Table:
    """The packs of a folder. One object belongs to one thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._packs: list[Path] = []
        self._numbers: dict[Path, int] = {}
        self._rows: dict[Path, int] = {}
        self._prefixes, self._where = np.zeros(0, _PREFIX), np.zeros(0, np.uint64)
        self.states = np.zeros(0, np.uint8)

    def __len__(self) -> int:
        return len(self._prefixes)

    def refresh(self) -> bool:
        """Read the entries that are new, of packs that other processes are writing, too; whether there were any."""
        prefixes, where = [self._prefixes], [self._where]
        for index in indexes(self._folder):
            with suppress(OSError):  # removed meanwhile, or not readable: its arrays are computed again
                if index.stat().st_size // ENTRY.itemsize > self._rows.get(index, 0):
                    for keys, rows in self._further(index):
                        prefixes.append(keys)
                        where.append(rows)
        if len(prefixes) == 1:
            return False
        merged = np.concatenate(prefixes)
        order = np.argsort(merged, kind="stable")
        states = np.concatenate([self.states, np.zeros(len(merged) - len(self.states), np.uint8)])
        self._prefixes, self._where, self.states = merged[order], np.concatenate(where)[order], states[order]
        return True

    def places(self, key: bytes) -> Iterator[tuple[int, Path, Place]]:
        """(number of its state, index, place) of each entry with a key that is not known to be bad."""
        prefix = np.frombuffer(key, _PREFIX, 1)[0]
        slot = int(self._prefixes.searchsorted(prefix))
        while slot < len(self._prefixes) and self._prefixes[slot] == prefix:
            if self.states[slot] != BAD:
                where = int(self._where[slot])
                index = self._packs[where >> _ROW_BITS]
                with suppress(OSError):
                    entries = read_entries(index, where & ((1 << _ROW_BITS) - 1), 1)
                    if len(entries) and entries[0]["key"].tobytes() == key:
                        yield slot, index, place_of(index, entries[0])
            slot += 1

    def _further(self, index: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(first bytes of keys, where they are) of entries that are new, some at a time. Raises OSError."""
        number = self._number(index)
        while len(entries := read_entries(index, self._rows.get(index, 0), AT_ONCE)):
            first = self._rows.get(index, 0)
            self._rows[index] = first + len(entries)
            keys = np.ascontiguousarray(entries["key"]).view(np.uint8).reshape(len(entries), -1)
            rows = np.arange(first, first + len(entries), dtype=np.uint64) | np.uint64(number << _ROW_BITS)
            yield np.ascontiguousarray(keys[:, : _PREFIX.itemsize]).view(_PREFIX)[:, 0], rows

    def _number(self, index: Path) -> int:
        if index not in self._numbers:
            self._numbers[index] = len(self._packs)
            self._packs.append(index)
        return self._numbers[index]
