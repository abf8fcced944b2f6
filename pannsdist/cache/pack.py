"""A pack: many arrays in one file, and an index beside it. Both are only ever appended to, by one process at a time.

An index entry is written after its array, and holds a checksum of key, shape and content. So a pack is usable at every
moment, also when its process was killed: what has no complete entry is not there, and what a crash of the machine tore
has another checksum.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import re
import secrets
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from pannsdist.cache.keys import KEY_BYTES
from pannsdist.runtime import storage
from pannsdist.runtime.errors import CannotWrite
from pannsdist.runtime.lock_conflicts import NO_LOCKS

ARRAYS, INDEX = ".arrays", ".index"
KINDS = ("float32", "int16", "float64")
"""The types of arrays; the number of a type stands in the index, so this only grows at its end."""
MAX_AXES = 2
ENTRY = np.dtype(
    [
        ("key", f"V{KEY_BYTES}"),
        ("start", "<i8"),
        ("shape", "<i8", (MAX_AXES,)),
        ("axes", "<u2"),
        ("kind", "<u2"),
        ("checksum", "<u4"),
    ]
)
ALIGNED = 64
"""Arrays start at multiples of this."""
UNLOCKED_S = 86_400
"""On a file system without locks a pack that was not written for this long has no writer."""
NAME = re.compile("[0-9a-f]+-[0-9a-f]+-[0-9a-f]{8}")


@dataclass(frozen=True)
class Place:
    """Where an array is: the data file of its pack, and its index entry."""

    path: Path
    start: int
    shape: tuple[int, ...]
    kind: int
    checksum: int

    @property
    def size_bytes(self) -> int:
        """Bytes of the array; -1 for an entry that no array has."""
        if self.start < 0 or self.kind >= len(KINDS) or min(self.shape, default=0) < 0:
            return -1
        count = np.dtype(KINDS[self.kind]).itemsize
        for length in self.shape:
            count *= length
        return count

    def view(self, data: np.ndarray) -> np.ndarray | None:
        """The array as a view of `data`, the bytes of the pack; None where they end before it."""
        size = self.size_bytes
        raw = data[self.start : self.start + size] if size >= 0 else None
        if raw is None or raw.nbytes != size:
            return None
        return raw.view(KINDS[self.kind]).reshape(self.shape)

    def read(self, key: bytes, data: np.ndarray) -> np.ndarray | None:
        """As `view`; None also where the bytes are damaged."""
        array = self.view(data)
        if array is None or checksum(key, self.kind, self.shape, array) != self.checksum:
            return None
        return array


def checksum(key: bytes, kind: int, shape: tuple[int, ...], array: np.ndarray) -> int:
    """CRC-32 of a contiguous array and of what says how to read it."""
    content = array.reshape(-1).view(np.uint8).data if array.size else b""
    return zlib.crc32(content, zlib.crc32(repr((key, kind, shape)).encode()))


class PackWriter:
    """Appends to a pack of a folder, locked until it is closed or its process ends. Raises CannotWrite.

    It continues a pack of less than `pack_bytes` that nobody writes, so that their number does not grow with that of
    the processes that wrote; else it begins one.
    """

    def __init__(self, folder: Path, pack_bytes: int) -> None:
        storage.make_folder(folder)
        self.index, self._entries = _continued(folder, pack_bytes) or _begun(folder)
        self.path = self.index.with_suffix(ARRAYS)
        try:
            self._arrays = storage.opened(self.path, "ab")
            with storage.writing(self.path):
                self._arrays.write(bytes(-self._arrays.tell() % ALIGNED))
        except BaseException:
            self._entries.close()
            raise
        self.size = self._arrays.tell()

    def add(self, arrays: Mapping[bytes, np.ndarray]) -> dict[bytes, Place]:
        """Append arrays; where they are. Raises CannotWrite; ValueError for another type or more axes."""
        places = {}
        with storage.writing(self.path):
            for key, given in arrays.items():
                kind, array = KINDS.index(given.dtype.name), np.ascontiguousarray(given)
                if given.ndim > MAX_AXES or len(key) != KEY_BYTES:
                    raise ValueError(f"an array of {given.ndim} axes, or a key of {len(key)} bytes")
                content_sum = checksum(key, kind, given.shape, array)
                places[key] = Place(self.path, self.size, given.shape, kind, content_sum)
                self._arrays.write(array.data)
                self._arrays.write(bytes(-array.nbytes % ALIGNED))
                self.size += array.nbytes + -array.nbytes % ALIGNED
            self._arrays.flush()
        with storage.writing(self.index):
            self._entries.write(b"".join(_entry(key, place) for key, place in places.items()))
            self._entries.flush()
        return places

    def close(self) -> None:
        """Let others continue or remove the pack. Raises CannotWrite."""
        with storage.writing(self.path):
            self._arrays.close()
        with storage.writing(self.index):
            self._entries.close()


def _begun(folder: Path) -> tuple[Path, IO[bytes]]:
    """The locked index of a new pack. Raises CannotWrite."""
    index = folder / f"{time.time_ns():x}-{os.getpid():x}-{secrets.token_hex(4)}{INDEX}"
    storage.opened(index.with_suffix(ARRAYS), "xb").close()
    file = storage.opened(index, "xb")
    with storage.writing(index), _closed_on_error(file), suppress(BlockingIOError):
        _try_lock(file)  # nobody else knows the name of a new file but who looks for one to continue or to remove
    return index, file


def _continued(folder: Path, pack_bytes: int) -> tuple[Path, IO[bytes]] | None:
    """The locked index of a pack to continue, cut behind its last complete entry; None if there is none.

    Without locks there is none.
    """
    for index in indexes(folder):
        with suppress(OSError, CannotWrite):
            if index.with_suffix(ARRAYS).stat().st_size >= pack_bytes:
                continue
            file = storage.opened(index, "r+b")
            with _closed_on_error(file):
                if _try_lock(file) and os.path.samestat(os.fstat(file.fileno()), index.stat()):
                    file.truncate(file.seek(0, os.SEEK_END) // ENTRY.itemsize * ENTRY.itemsize)
                    file.seek(0, os.SEEK_END)
                    return index, file
            file.close()
    return None


@contextmanager
def _closed_on_error(file: IO[bytes]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        file.close()
        raise


def _entry(key: bytes, place: Place) -> bytes:
    record = np.zeros((), ENTRY)
    record["key"] = np.void(key)
    record["start"], record["axes"], record["kind"] = place.start, len(place.shape), place.kind
    record["shape"][: len(place.shape)] = place.shape
    record["checksum"] = place.checksum
    return record.tobytes()


def indexes(folder: Path) -> list[Path]:
    """The indexes of the packs of a folder, the oldest first; no other files."""
    return sorted(path for path in folder.glob(f"*{INDEX}") if NAME.fullmatch(path.stem))


def read_entries(index: Path, first: int = 0, count: int = -1) -> np.ndarray:
    """The complete entries of an index from number `first` on, at most `count`: (N,) of ENTRY. Raises OSError."""
    with index.open("rb") as file:
        file.seek(first * ENTRY.itemsize)
        raw = file.read(count * ENTRY.itemsize if count >= 0 else -1)
    return np.frombuffer(raw[: len(raw) // ENTRY.itemsize * ENTRY.itemsize], ENTRY)


def place_of(index: Path, entry: Any) -> Place:
    """The place that an entry, () of ENTRY, says."""
    axes = min(int(entry["axes"]), MAX_AXES)
    shape = tuple(int(length) for length in entry["shape"][:axes])
    return Place(index.with_suffix(ARRAYS), int(entry["start"]), shape, int(entry["kind"]), int(entry["checksum"]))


def mapped(path: Path) -> np.ndarray:
    """The bytes of a data file, mapped into memory, read-only. Raises OSError."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return np.zeros(0, np.uint8)
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


def remove_unless_written(index: Path) -> bool:
    """Remove a pack unless a living process writes it. Raises OSError, CannotWrite."""
    with storage.opened(index, "r+b") as file:
        try:
            if not _try_lock(file) and time.time() - index.stat().st_mtime < UNLOCKED_S:
                return False
        except BlockingIOError:
            return False
        remove(index)  # under the lock, so that nobody begins to continue it
    return True


def remove(index: Path) -> None:
    """Remove a pack: first the index, so that no other process finds arrays that are not there. Raises CannotWrite."""
    storage.remove(index)
    storage.remove(index.with_suffix(ARRAYS))


def _try_lock(file: IO[bytes]) -> bool:
    """Lock a file; False where there are no locks. Raises BlockingIOError where another process has it, OSError."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in (*NO_LOCKS, errno.EBADF):
            raise
        return False
    return True
