"""The arrays of one recipe by key: read where they are known, written where they had to be computed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.cache.keys import digest
from pannsdist.cache.pack import ALIGNED, ENTRY, PackWriter, Place, indexes, mapped, remove
from pannsdist.cache.pruning import FORMAT, RECIPE_FILE, mark_used, prune
from pannsdist.cache.table import BAD, GOOD, Table
from pannsdist.runtime import console, storage
from pannsdist.runtime.errors import CannotWrite
from pannsdist.runtime.user_folder import home

FOLDER = "arrays"
PACK_BYTES = 1 << 28
"""A pack that has reached this size is closed: packs are removed as a whole. Of a large limit it is a 256th."""
PACKS = 256
BYTES_OF_GB = 1_000_000_000
PER_ARRAY_BYTES = ENTRY.itemsize + ALIGNED
"""What an array needs at most beside its content."""
MEASURED = 0.01
"""After so much of the limit was written, the size of the cache is measured again: others write, too."""
REFRESH_S = 1.0
"""How often `get` looks for what other processes have written."""
REFRESH_COSTS = 20
"""It takes at most about this fraction, one part in so many, of the time."""
USED_S = 600.0
"""How often packs in use are marked."""


def cache_folder() -> Path:
    """The cache of this user."""
    return home() / FOLDER


class ArrayCache:
    """The arrays that were made by one `recipe`, in the cache `root`; a context manager.

    A recipe is plain data: everything but the key that an array depends on, versions of software included. Several
    processes may have the same recipe open: each writes packs of its own. One object belongs to one thread of one
    process. What cannot be written is noted once, and not kept; what is damaged counts as absent: each array is
    verified when a process first reads it. The limit is that of the whole cache. With 0 there is none.
    """

    def __init__(self, root: Path, recipe: Mapping[str, Any], limit_gb: float) -> None:
        self._root, self._recipe = root, {"format": FORMAT, **recipe}
        self._limit_bytes = round(limit_gb * BYTES_OF_GB)
        self.folder = root / digest(self._recipe).hex()[:32]
        self._table = Table(self.folder)
        self._written: dict[bytes, Place] = {}
        self._data: dict[Path, np.ndarray] = {}
        self._used: set[Path] = set()
        self._writer: PackWriter | None = None
        self._opened_s, self._marked_s, self._refreshed_s = time.time(), time.monotonic(), float("-inf")
        self._total_bytes, self._measured_bytes = 0, float("-inf")
        self._is_full = self._limit_bytes == 0

    def __enter__(self) -> ArrayCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_full(self) -> bool:
        """Whether nothing more is kept."""
        return self._is_full

    def read(self, keys: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """The arrays that are there and intact, as read-only views of files. Packs of other processes count too."""
        if self._limit_bytes == 0:
            return {}
        self._refresh()
        found = {key: self.get(key) for key in keys}
        return {key: array for key, array in found.items() if array is not None}

    def get(self, key: bytes) -> np.ndarray | None:
        """One array, as `read`, or None. What others have written is seen after a second at most."""
        if self._limit_bytes == 0:
            return None
        found = self._found(key)
        if found is None and time.monotonic() >= self._refreshed_s:
            self._refresh()
            found = self._found(key)
        return found

    def write(self, arrays: Mapping[bytes, np.ndarray]) -> None:
        """Keep arrays, float32, int16 or float64, with up to two axes; without effect once the limit is reached."""
        if self._is_full or not arrays:
            return
        try:
            self._write(arrays)
        except CannotWrite as error:
            self._stop_writing(error.wrong)

    def mark_used(self) -> None:
        """Call this while arrays are used that were read long ago, so that their packs are not taken for unused."""
        if time.monotonic() - self._marked_s >= USED_S:
            self._marked_s = time.monotonic()
            for index in self._used:
                mark_used(index)

    def forget(self) -> None:
        """Remove all arrays of this recipe: they were found to be wrong."""
        self._table.clear()
        self._written.clear()
        for index in indexes(self.folder):
            with suppress(CannotWrite):
                remove(index)
        self._end_pack()

    def close(self) -> None:
        """End writing, and remove what is above the limit."""
        if self._writer is not None:
            self._end_pack()
            prune(self._root, self._limit_bytes, self._used, self._opened_s)

    def _write(self, arrays: Mapping[bytes, np.ndarray]) -> None:
        pack_bytes = max(PACK_BYTES, self._limit_bytes // PACKS)
        if self._writer is not None and self._writer.size >= pack_bytes:
            self._end_pack()
        size = sum(array.nbytes + PER_ARRAY_BYTES for array in arrays.values())
        if not self._has_room(size):
            self._stop_writing(f"the cache {self._root} has reached its limit, data.cache_limit_gb")
            return
        if self._writer is None:
            self._make_folder()
            self._writer = PackWriter(self.folder, pack_bytes)
            self._used.add(self._writer.index)
        self._written |= self._writer.add(arrays)
        self._total_bytes += size

    def _make_folder(self) -> None:
        """Samples are kept as private as the sounds may be: a new cache is this user's, an existing one as it is."""
        if not self._root.exists():
            storage.make_folder(self._root, private=True)
        storage.make_folder(self.folder)
        if not (self.folder / RECIPE_FILE).exists():
            text = json.dumps(self._recipe, indent=1, sort_keys=True) + "\n"
            with suppress(CannotWrite):  # another process writes the same just now; what is wrong else shows in a pack
                storage.write_atomic(self.folder / RECIPE_FILE, text)

    def _has_room(self, size: int) -> bool:
        """Whether so many bytes may be added, once older packs are removed."""
        unmeasured = self._total_bytes - self._measured_bytes
        if unmeasured >= MEASURED * self._limit_bytes or self._total_bytes + size > self._limit_bytes:
            self._total_bytes = prune(self._root, self._limit_bytes - size, self._used, self._opened_s)
            self._measured_bytes = self._total_bytes
        return self._total_bytes + size <= self._limit_bytes

    def _end_pack(self) -> None:
        writer, self._writer = self._writer, None
        try:
            if writer is not None:
                writer.close()
        except CannotWrite as error:
            self._stop_writing(error.wrong)

    def _stop_writing(self, why: str) -> None:
        self._is_full = True
        console.note_main(f"what is computed now is not kept for the next run: {why}")

    def _refresh(self) -> None:
        started = time.monotonic()
        if self._table.refresh():
            self._written.clear()  # it is in the table now
        cost = time.monotonic() - started
        self._refreshed_s = time.monotonic() + max(REFRESH_S, REFRESH_COSTS * cost)

    def _found(self, key: bytes) -> np.ndarray | None:
        """An intact array; of several with one key, any: those that are damaged are passed over."""
        if (place := self._written.get(key)) is not None:
            with suppress(OSError):
                return place.view(self._mapped(place))
        for slot, index, place in self._table.places(key):
            array = self._verified(key, place, slot)
            if array is not None:
                if index not in self._used:
                    self._used.add(index)
                    mark_used(index)
                return array
        return None

    def _verified(self, key: bytes, place: Place, slot: int) -> np.ndarray | None:
        try:
            data = self._mapped(place)
        except OSError:
            return None
        if self._table.states[slot] == GOOD:
            return place.view(data)
        array = place.read(key, data)
        self._table.states[slot] = BAD if array is None else GOOD
        return array

    def _mapped(self, place: Place) -> np.ndarray:
        """The bytes of a pack; mapped again where it has grown."""
        data = self._data.get(place.path)
        if data is None or place.start + place.size_bytes > len(data):
            data = self._data[place.path] = mapped(place.path)
        return data
