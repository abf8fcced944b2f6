"""The arrays of one recipe by key: read where they are known, written where they had to be computed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.cache.keys import digest
from pannsdist.cache.pack import ALIGNED, ENTRY, INDEX, PackWriter, Place, mapped, read_index
from pannsdist.cache.pruning import mark_used, prune, remove
from pannsdist.runtime import console, storage
from pannsdist.runtime.errors import CannotWrite
from pannsdist.runtime.user_folder import home

FOLDER = "arrays"
RECIPE_FILE = "recipe.json"
PACK_BYTES = 1 << 28
"""A pack that has reached this size is closed: packs are removed as a whole."""
BYTES_OF_GB = 1_000_000_000
PER_ARRAY_BYTES = ENTRY.itemsize + ALIGNED
"""What an array needs at most beside its content."""
FULL = 0.9
"""Room is made down to this part of the limit, so that it is not made for each array again."""


def cache_folder() -> Path:
    """The cache of this user."""
    return home() / FOLDER


class ArrayCache:
    """The arrays that were made by one `recipe`, in the cache `root`; a context manager.

    A recipe is plain data: everything but the key that an array depends on, versions of software included. Several
    processes may have the same recipe open: each writes packs of its own. One object belongs to one thread. What cannot
    be written is noted once, and not kept; what is damaged counts as absent. The limit is that of the whole cache.
    With 0 there is none.
    """

    def __init__(self, root: Path, recipe: Mapping[str, Any], limit_gb: float) -> None:
        self._root, self._recipe, self._limit_bytes = root, recipe, round(limit_gb * BYTES_OF_GB)
        self.folder = root / digest(dict(recipe)).hex()[:32]
        self._places: dict[bytes, Place] = {}
        self._data: dict[Path, np.ndarray] = {}
        self._index_bytes: dict[Path, int] = {}
        self._used: set[Path] = set()
        self._writer: PackWriter | None = None
        self._total_bytes, self._is_full = 0, self._limit_bytes == 0

    def __enter__(self) -> ArrayCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, keys: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """The arrays that are there and intact, as read-only views of files. Packs of other processes count too."""
        if self._limit_bytes == 0:
            return {}
        self._find_packs()
        found = {}
        for key in keys:
            place = self._places.get(key)
            array = None if place is None else self._array(key, place)
            if array is not None:
                found[key] = array
        return found

    def write(self, arrays: Mapping[bytes, np.ndarray]) -> None:
        """Keep arrays, float32 or int16, with up to two axes; without effect once the limit is reached."""
        if self._is_full or not arrays:
            return
        try:
            self._write(arrays)
        except CannotWrite as error:
            self._stop_writing(error.wrong)

    def forget(self) -> None:
        """Remove all arrays of this recipe: they were found to be wrong."""
        self._places.clear()
        self._index_bytes.clear()
        for index in self.folder.glob(f"*{INDEX}"):
            with suppress(CannotWrite):
                remove(index)

    def close(self) -> None:
        """End writing, and remove what is above the limit."""
        if self._writer is not None:
            self._end_pack()
            prune(self._root, self._limit_bytes, self._used)

    def _write(self, arrays: Mapping[bytes, np.ndarray]) -> None:
        if self._writer is not None and self._writer.size >= PACK_BYTES:
            self._end_pack()
        size = sum(array.nbytes + PER_ARRAY_BYTES for array in arrays.values())
        if self._writer is None or self._total_bytes + size > self._limit_bytes:
            self._total_bytes = prune(self._root, round(FULL * self._limit_bytes) - size, self._used)
        if self._total_bytes + size > self._limit_bytes:
            self._stop_writing(f"the cache {self._root} has reached its limit, data.cache_limit_gb")
            return
        if self._writer is None:
            self._writer = PackWriter(self.folder)
            self._used.add(self._writer.index)
            text = json.dumps(dict(self._recipe), indent=1, sort_keys=True) + "\n"
            storage.write_atomic(self.folder / RECIPE_FILE, text)
        self._places |= self._writer.add(arrays)
        self._total_bytes += size

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

    def _find_packs(self) -> None:
        """Read the indexes that are new or have grown, also of packs that other processes are writing.

        Of an array that is in several packs the newest counts: it was written since an older one is damaged.
        """
        for index in sorted(self.folder.glob(f"*{INDEX}")):
            if self._writer is None or index != self._writer.index:
                with suppress(OSError):  # removed meanwhile, or not readable: its arrays are computed again
                    size = index.stat().st_size
                    if self._index_bytes.get(index) != size:
                        self._places |= read_index(index)
                        self._index_bytes[index] = size

    def _array(self, key: bytes, place: Place) -> np.ndarray | None:
        try:
            array = place.read(key, self._mapped(place))
        except OSError:
            return None
        index = place.path.with_suffix(INDEX)
        if array is not None and index not in self._used:
            self._used.add(index)
            mark_used(index)
        return array

    def _mapped(self, place: Place) -> np.ndarray:
        """The bytes of a pack; mapped again where it has grown."""
        data = self._data.get(place.path)
        if data is None or place.start >= len(data):
            data = self._data[place.path] = mapped(place.path)
        return data
