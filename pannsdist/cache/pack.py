"""A pack: many arrays in one file, and an index beside it. Both are only ever appended to, by one process.

An index entry is written after its array, and holds a checksum of key, shape and content. So a pack is usable at every
moment, also when its process was killed: what has no complete entry is not there, and what a crash of the machine tore
has another checksum.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import secrets
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pannsdist.cache.keys import KEY_BYTES
from pannsdist.runtime import storage
from pannsdist.runtime.lock_conflicts import NO_LOCKS

ARRAYS, INDEX = ".arrays", ".index"
KINDS = ("float32", "int16")
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


@dataclass(frozen=True)
class Place:
    """Where an array is: the data file of its pack, and its index entry."""

    path: Path
    start: int
    shape: tuple[int, ...]
    kind: int
    checksum: int

    def read(self, key: bytes, data: np.ndarray) -> np.ndarray | None:
        """The array as a view of `data`, the bytes of the pack; None where they are damaged."""
        if self.start < 0 or self.kind >= len(KINDS) or min(self.shape, default=0) < 0:
            return None
        kind = np.dtype(KINDS[self.kind])
        count = 1
        for length in self.shape:
            count *= length
        raw = data[self.start : self.start + count * kind.itemsize]
        if raw.nbytes != count * kind.itemsize or checksum(key, self.kind, self.shape, raw.tobytes()) != self.checksum:
            return None
        return raw.view(kind).reshape(self.shape)


def checksum(key: bytes, kind: int, shape: tuple[int, ...], content: bytes) -> int:
    """CRC-32 of an array and of what says how to read it."""
    return zlib.crc32(content, zlib.crc32(repr((key, kind, shape)).encode()))


class PackWriter:
    """A new pack in a folder, locked until it is closed or its process ends. Raises CannotWrite."""

    def __init__(self, folder: Path) -> None:
        storage.make_folder(folder)
        name = f"{time.time_ns():x}-{os.getpid():x}-{secrets.token_hex(4)}"
        self.index, self.path = folder / f"{name}{INDEX}", folder / f"{name}{ARRAYS}"
        self._entries = storage.opened(self.index, "xb")
        try:
            with storage.writing(self.index):
                _lock(self._entries.fileno())
            self._arrays = storage.opened(self.path, "xb")
        except BaseException:
            self._entries.close()
            raise
        self.size = 0

    def add(self, arrays: Mapping[bytes, np.ndarray]) -> dict[bytes, Place]:
        """Append arrays; where they are. Raises CannotWrite; ValueError for another type or more axes."""
        places = {}
        with storage.writing(self.path):
            for key, array in arrays.items():
                kind, content = KINDS.index(array.dtype.name), np.ascontiguousarray(array).tobytes()
                if array.ndim > MAX_AXES or len(key) != KEY_BYTES:
                    raise ValueError(f"an array of {array.ndim} axes, or a key of {len(key)} bytes")
                content_sum = checksum(key, kind, array.shape, content)
                places[key] = Place(self.path, self.size, array.shape, kind, content_sum)
                padded = content + bytes(-len(content) % ALIGNED)
                self._arrays.write(padded)
                self.size += len(padded)
            self._arrays.flush()
        with storage.writing(self.index):
            self._entries.write(b"".join(_entry(key, place) for key, place in places.items()))
            self._entries.flush()
        return places

    def close(self) -> None:
        """Let others remove the pack. Raises CannotWrite."""
        with storage.writing(self.path):
            self._arrays.close()
        with storage.writing(self.index):
            self._entries.close()


def _entry(key: bytes, place: Place) -> bytes:
    record = np.zeros((), ENTRY)
    record["key"] = np.void(key)
    record["start"], record["axes"], record["kind"] = place.start, len(place.shape), place.kind
    record["shape"][: len(place.shape)] = place.shape
    record["checksum"] = place.checksum
    return record.tobytes()


def read_index(index: Path) -> dict[bytes, Place]:
    """The arrays of a pack by key, without looking at them. Raises OSError."""
    raw = index.read_bytes()
    entries = np.frombuffer(raw[: len(raw) // ENTRY.itemsize * ENTRY.itemsize], ENTRY)
    path = index.with_suffix(ARRAYS)
    columns = zip(*(entries[name].tolist() for name in ("start", "shape", "axes", "kind", "checksum")), strict=True)
    keys = [bytes(key) for key in entries["key"]]
    return {
        key: Place(path, start, tuple(shape[: min(axes, MAX_AXES)]), kind, content_sum)
        for key, (start, shape, axes, kind, content_sum) in zip(keys, columns, strict=True)
    }


def mapped(path: Path) -> np.ndarray:
    """The bytes of a data file, mapped into memory, read-only. Raises OSError."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return np.zeros(0, np.uint8)
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


def is_being_written(index: Path) -> bool:
    """Whether a living process writes this pack. Raises OSError."""
    with index.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            return time.time() - index.stat().st_mtime < UNLOCKED_S
    return False


def _lock(handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (*NO_LOCKS, errno.EWOULDBLOCK):  # nobody else knows the name of a new file but a cleaner
            raise
