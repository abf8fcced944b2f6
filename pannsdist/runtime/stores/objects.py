"""Reading of objects: opened as files that fetch what is read, in blocks; states asked once, of many in parallel."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pannsdist.runtime.stores.blocks import BLOCK_BYTES, block_cache, block_key
from pannsdist.runtime.stores.buckets import BucketStore, S3Store
from pannsdist.runtime.stores.failures import Passing
from pannsdist.runtime.stores.hub import HubStore
from pannsdist.runtime.stores.patience import persistent
from pannsdist.runtime.stores.store import ObjectState, Part, Store
from pannsdist.runtime.stores.urls import WEB, Url
from pannsdist.runtime.stores.web import WebStore

AT_ONCE = 32
"""States that are asked at the same time."""
FRESH_S = 30.0
"""A state that was asked within this time is not asked again when many are."""
RUN_BLOCKS = 8
"""Blocks of one request at most, where they are read one after the other."""
PART_BYTES = RUN_BLOCKS * BLOCK_BYTES
"""What is asked for at a time of an object that is copied."""
_STORES: dict[str, Store] = {
    **{scheme: WebStore() for scheme in WEB},
    "s3": S3Store(),
    "gs": BucketStore("gs"),
    "oss": BucketStore("oss"),
    "hf": HubStore(),
}
_asked: dict[Url, tuple[float, ObjectState]] = {}


def can_list(url: Url) -> bool:
    """Whether the store of a URL can list objects; a web server cannot."""
    return _STORES[url.scheme].lists


def state_of(url: Url) -> ObjectState:
    """The state of an object, remembered in this process. Raises OSError."""
    known = _asked.get(url)
    return known[1] if known else _state_now(url)


def states_of(urls: Iterable[Url]) -> dict[Url, ObjectState | None]:
    """The states of objects as they are now, asked in parallel; None for one that is missing or forbidden.

    Raises StoreError for a store that does not answer.
    """
    now, wanted = time.monotonic(), list(dict.fromkeys(urls))
    stale = [url for url in wanted if url not in _asked or now - _asked[url][0] > FRESH_S]
    found: dict[Url, ObjectState | None] = {}
    if stale:
        pool = ThreadPoolExecutor(min(AT_ONCE, len(stale)))
        try:
            found = dict(zip(stale, pool.map(_state_or_none, stale), strict=True))
        finally:
            pool.shutdown(cancel_futures=True)
    return {url: found[url] if url in found else _asked[url][1] for url in wanted}


def listing(url: Url) -> list[tuple[str, ObjectState]]:
    """The objects below a URL, sorted by name: their names relative to it, and their states. Raises OSError."""
    return persistent(url, lambda: sorted(_STORES[url.scheme].listing(url), key=lambda found: found[0]))


def read_bytes(url: Url, at_most: int = -1) -> bytes:
    """The whole object as it is now, or its first bytes. Raises OSError."""
    with io.BufferedReader(ObjectReader(url, _state_now(url))) as file:
        return file.read(at_most)


def parts(url: Url, state: ObjectState) -> Iterator[bytes]:
    """The bytes of an object in this state, from its first to its last; none are kept as blocks. Raises OSError."""
    for start in range(0, state.size_bytes, PART_BYTES):
        end = min(start + PART_BYTES, state.size_bytes)
        part = persistent(url, partial(_STORES[url.scheme].fetch, url, state, start, end))
        yield part.content[start - part.first : end - part.first]


def _state_now(url: Url) -> ObjectState:
    state = persistent(url, lambda: _STORES[url.scheme].state(url))
    _asked[url] = time.monotonic(), state
    return state


def _state_or_none(url: Url) -> ObjectState | None:
    try:
        return _state_now(url)
    except (FileNotFoundError, PermissionError):
        _asked.pop(url, None)
        return None


class ObjectReader(io.RawIOBase):
    """An object in a state, as a file that can seek. What is read comes from the block cache, else from the store.

    Every method may raise OSError; ObjectChanged for an object that is no longer in this state.
    """

    def __init__(self, url: Url, state: ObjectState) -> None:
        self._url, self._state, self._position = url, state, 0
        self._cache = block_cache()
        self._blocks: dict[int, bytes] = {}
        self._next, self._run = -1, 1

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, which may lie behind the end, but not before the start."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._state.size_bytes}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: object) -> int:
        """Fill `buffer` as far as the object reaches."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        start, end = self._position, min(self._position + len(view), self._state.size_bytes)
        while self._position < end:
            number = self._position // BLOCK_BYTES
            block, first = self._block(number, (end - 1) // BLOCK_BYTES), number * BLOCK_BYTES
            part = block[self._position - first : end - first]
            view[self._position - start : self._position - start + len(part)] = part
            self._position += len(part)
        return max(0, self._position - start) if start < end else 0

    def readall(self) -> bytes:
        """The rest of the object."""
        content = bytearray(max(0, self._state.size_bytes - self._position))
        self.readinto(content)
        return bytes(content)

    def _block(self, number: int, last: int) -> bytes:
        """A block; `last` is the last one that is read now."""
        if number in self._blocks:
            return self._blocks[number]
        kept = self._cache.read(self._key(number)) if self._state.is_lasting else None
        if kept is not None and len(kept) == self._length(number):
            if len(self._blocks) > RUN_BLOCKS:
                self._blocks.clear()
            self._blocks[number] = kept
        else:
            self._fetch(number, last)
        return self._blocks[number]

    def _fetch(self, number: int, last: int) -> None:
        """Fetch a block, with the next ones where they are read one after the other; keep what came."""
        self._run = min(2 * self._run, RUN_BLOCKS) if number == self._next else 1
        count = min(max(self._run, last - number + 1), RUN_BLOCKS)
        start, end = number * BLOCK_BYTES, min((number + count) * BLOCK_BYTES, self._state.size_bytes)
        part = persistent(self._url, lambda: self._fetched(start, end))
        self._blocks.clear()
        self._next = number + count
        for inside in range(part.first // BLOCK_BYTES, -(-(part.first + len(part.content)) // BLOCK_BYTES)):
            first = inside * BLOCK_BYTES - part.first
            block = part.content[first : first + BLOCK_BYTES]
            self._blocks[inside] = block
            if self._state.is_lasting:
                self._cache.write(self._key(inside), block)

    def _fetched(self, start: int, end: int) -> Part:
        part = _STORES[self._url.scheme].fetch(self._url, self._state, start, end)
        if part.first > start or part.first + len(part.content) < end or part.first % BLOCK_BYTES:
            raise Passing(f"the store sent other bytes than {start} to {end - 1}")
        return part

    def _length(self, number: int) -> int:
        return min(BLOCK_BYTES, self._state.size_bytes - number * BLOCK_BYTES)

    def _key(self, number: int) -> bytes:
        return block_key(self._url, self._state, number)
