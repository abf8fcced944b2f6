"""Blocks of remote objects, kept on this machine: shared by processes, verified, bounded, the longest unused removed.

A block is one file, written beside its place and renamed, with a checksum of its key and its content in front. So a
process that is killed, a crash of the machine and a full disk leave whole blocks only, or such as are noticed.
"""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from contextlib import suppress
from pathlib import Path

from pannsdist.runtime import console, storage
from pannsdist.runtime.errors import CannotWrite, UserError
from pannsdist.runtime.redaction import without_credentials
from pannsdist.runtime.stores.patience import number_of
from pannsdist.runtime.stores.store import ObjectState
from pannsdist.runtime.stores.urls import Url
from pannsdist.runtime.user_folder import home

LIMIT = "PANNSDIST_STORE_CACHE_GB"
"""The variable that bounds the blocks of this user on this machine; 0 keeps none."""
LIMIT_GB = 10.0
FOLDER = "blocks"
BLOCK_BYTES = 1 << 20
CHECKSUM_BYTES = 4
FULL = 0.9
"""Room is made down to this part of the limit."""
COUNTED_AGAIN = 0.05
"""After writing this part of the limit a process looks what others have written."""
TOUCHED_S = 3600.0
"""A block that was used within this time is not marked as used again."""
LEFT_OVER_S = 86_400.0
WRITING = ".writing"


class BlockCache:
    """The blocks in a folder, for one process; any thread may call it. What cannot be written is noted once."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder, self._limit_bytes = folder, limit_bytes
        self._written, self._counts_from, self._is_off = 0, 0, limit_bytes <= 0

    def read(self, key: bytes) -> bytes | None:
        """A block; None where it is not there, or damaged, which is removed."""
        if self._limit_bytes <= 0:
            return None
        path = self._path(key)
        try:
            raw = path.read_bytes()
            if time.time() - path.stat().st_mtime > TOUCHED_S:
                with suppress(CannotWrite):
                    storage.touch(path)
        except OSError:
            return None
        content = raw[CHECKSUM_BYTES:]
        if raw[:CHECKSUM_BYTES] == _checksum(key, content):
            return content
        with suppress(CannotWrite):
            storage.remove(path)
        return None

    def write(self, key: bytes, content: bytes) -> None:
        """Keep a block."""
        if self._is_off:
            return
        try:
            if self._written >= self._counts_from:
                self._make_room()
            storage.replace(self._path(key), _checksum(key, content) + content, WRITING)
            self._written += len(content)
        except CannotWrite as error:
            self._is_off = True
            console.note_main(f"what is read from stores is not kept on this machine: {error.wrong}")

    def _make_room(self) -> None:
        """Remove what is above the limit, and what killed processes left."""
        now, found, total = time.time(), [], 0
        for path in self._folder.glob("*/*"):
            with suppress(OSError, CannotWrite):
                status = path.stat()
                if path.name.endswith(WRITING):
                    if now - status.st_mtime > LEFT_OVER_S:
                        storage.remove(path)
                    continue
                found.append((status.st_mtime, status.st_size, path))
                total += status.st_size
        if total > self._limit_bytes:
            for _, size, path in sorted(found):
                if total <= FULL * self._limit_bytes:
                    break
                with suppress(CannotWrite):
                    storage.remove(path)
                    total -= size
        spare = max(self._limit_bytes - total, 0)
        self._counts_from = self._written + max(min(spare, round(COUNTED_AGAIN * self._limit_bytes)), BLOCK_BYTES)

    def _path(self, key: bytes) -> Path:
        name = key.hex()
        return self._folder / name[:2] / name[2:]


def block_key(url: Url, state: ObjectState, number: int) -> bytes:
    """What identifies a block: the object without credentials, its size and version, and the place in it."""
    text = f"{without_credentials(url.address)}\n{state.size_bytes} {state.version}\n{number} {BLOCK_BYTES}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _checksum(key: bytes, content: bytes) -> bytes:
    return zlib.crc32(content, zlib.crc32(key)).to_bytes(CHECKSUM_BYTES, "big")


_caches: dict[tuple[int, str, int], BlockCache] = {}


def block_cache() -> BlockCache:
    """The cache of this user, as the environment bounds it; none for a user without a home folder."""
    limit_bytes = round(number_of(LIMIT, LIMIT_GB) * 1_000_000_000)
    try:
        folder = home() / FOLDER
    except UserError:
        folder, limit_bytes = Path(FOLDER), 0
    key = os.getpid(), str(folder), limit_bytes
    if key not in _caches:
        _caches[key] = BlockCache(folder, limit_bytes)
    return _caches[key]
