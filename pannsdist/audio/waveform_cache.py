"""The chunks of sounds at the rate of a network, kept on disk: read as they were computed, without opening the source.

A chunk is kept under the identity of its source, so an older version of a sound is never read. Axes: S samples.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

import pannsdist
from pannsdist.audio.chunks import CHUNK_S, QUALITY, Chunks
from pannsdist.audio.decoder import DecodingError
from pannsdist.audio.identity import identity_of, reader_versions
from pannsdist.audio.reader import OpenSource, clip_name, clip_span
from pannsdist.audio.sixteen_bit import as_float, exactly_16_bit, to_16_bit
from pannsdist.audio.sounds import DecodedSound, open_sound
from pannsdist.audio.verdicts import Verdict
from pannsdist.cache.arrays import ArrayCache
from pannsdist.cache.keys import Identity
from pannsdist.contracts import Clip, EncodedSource
from pannsdist.runtime.errors import BadClip

REMEMBERED = 1 << 15
"""Sources whose places in the cache a process keeps at hand."""
PENDING_BYTES = 1 << 26
"""Samples of one source that wait for being written."""
CHANGES = "it changes while it is read"


@dataclass(frozen=True)
class WaveformCache:
    """Chunks of sounds in the folder `root`, within `limit_gb` of all that it holds; may be sent to worker processes.

    With `is_16_bit` samples are rounded to 16 bit; else they are kept as they are, in 16 bit where these are exact.
    """

    root: Path
    limit_gb: float
    is_16_bit: bool = False

    def recipe(self, rate_hz: int) -> dict[str, Any]:
        """Everything but the source that a chunk depends on."""
        return {
            "what": f"mono sound at {rate_hz} Hz, in chunks of {CHUNK_S} s, resampled by soxr {QUALITY}",
            "samples": "rounded to 16 bit" if self.is_16_bit else "exact",
            "versions": {"pannsdist": pannsdist.__version__, **reader_versions()},
        }


@dataclass
class _Known:
    """What a process knows of a source: its identity, its length by accepted clip, and chunks that are at hand."""

    token: object
    identity: Identity
    key: bytes
    sounds: dict[tuple[float, float | None], Chunks] = field(default_factory=dict)
    chunks: dict[int, np.ndarray] = field(default_factory=dict)

    def key_of_clip(self, clip: Clip) -> bytes:
        """The key of the length of a source as that of a clip that was accepted, by the levels in its segment."""
        return sha256(self.key + f"clip {clip.start_s!r} {clip.duration_s!r}".encode()).digest()

    def key_of_chunk(self, index: int) -> bytes:
        """The key of a chunk."""
        return sha256(self.key + f"chunk {index}".encode()).digest()


class WaveformStore:
    """A waveform cache, open in a process, for one sample rate."""

    def __init__(self, cache: WaveformCache, rate_hz: int) -> None:
        self.rate_hz, self.is_16_bit = rate_hz, cache.is_16_bit
        self.arrays = ArrayCache(cache.root, cache.recipe(rate_hz), cache.limit_gb)
        self._known: dict[Path | EncodedSource, _Known] = {}

    def known(self, clip: Clip) -> _Known | None:
        """What is known of the source of a clip; None for one that is not cached. Raises CannotRead."""
        source = clip.source
        if not isinstance(source, Path) and not isinstance(source, EncodedSource):
            return None
        token = _token(source)
        found = self._known.get(source)
        if token is not None and found is not None and found.token == token:
            return found
        identity = token if isinstance(token, Identity) else identity_of(source)
        if identity is None or token is None:
            return None
        self._known.pop(source, None)
        if len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        return self._known.setdefault(source, _Known(token, identity, identity.key({})))

    def sound(self, clip: Clip, known: _Known) -> Chunks | None:
        """The length of the source of a clip that was accepted before; None for any other."""
        span = clip.start_s, clip.duration_s
        if span not in known.sounds:
            kept = self.arrays.get(known.key_of_clip(clip))
            if kept is None or kept.shape != (2,) or kept.dtype != np.float64:
                return None
            known.sounds[span] = Chunks(int(kept[0]), float(kept[1]), self.rate_hz)
        return known.sounds[span]

    def chunk(self, known: _Known, index: int, samples: int) -> np.ndarray | None:
        """A chunk (samples,) as it is kept; None where it is not."""
        if (found := known.chunks.get(index)) is not None:
            return found
        kept = self.arrays.get(known.key_of_chunk(index))
        if kept is None or kept.shape != (samples,) or kept.dtype == np.float64:
            return None
        known.chunks[index] = kept
        return kept

    def to_keep(self, chunk: np.ndarray) -> np.ndarray:
        """A chunk (S,) float32 as it is kept."""
        if self.is_16_bit:
            return to_16_bit(chunk)
        exact = exactly_16_bit(chunk)
        return chunk if exact is None else exact


def _token(source: Path | EncodedSource) -> object:
    """What is another one for another state of a source, at the price of one look at it. Raises CannotRead."""
    if isinstance(source, EncodedSource):
        return identity_of(source)
    try:
        found = os.stat(source)  # noqa: PTH116 raises for names that pathlib refuses
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class CachedSound:
    """An `OpenSound` whose chunks are in the cache, or are computed and written to it; to be used in a `with` block.

    Entering and leaving the block raise BadClip and CannotRead. A source that is not needed is not opened.
    """

    source: OpenSource

    def __init__(self, store: WaveformStore, known: _Known, clip: Clip) -> None:
        self._store, self._known, self._clip = store, known, clip
        self._opened: DecodedSound | None = None
        self._stack: ExitStack | None = None
        self._pending: dict[bytes, np.ndarray] = {}
        self._kept = store.sound(clip, known)

    def __enter__(self) -> CachedSound:
        try:
            self.chunks = self._kept or self._accepted()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        self.samples = self.chunks.samples
        self.source = _KnownSource(self.chunks, self._decoded)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if self._stack is None:
            return
        if error is None:
            with self._stack:
                self.flush()
        else:
            self._stack.__exit__(kind, error, trace)  # raises BadClip for what cannot be decoded

    def part(self, first: int, end: int) -> np.ndarray:
        """See OpenSound; perhaps a read-only view of the cache."""
        if self._store.arrays.is_full and not self.chunks.is_resampled and self.missing(first, end):
            return self._part_alone(self._decoded(), first, end)
        try:
            parts = [as_float(self._within(*touched)) for touched in self.chunks.touched(first, end)]
        except (BadClip, DecodingError):
            if self.chunks.is_resampled:
                raise
            with open_sound(self._clip.source, clip_name(self._clip), self._store.rate_hz) as sound:
                return self._part_alone(sound, first, end)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def fill(self, first: int, end: int) -> None:
        """Have the chunks of a part in the cache."""
        for index, _, _ in self.chunks.touched(first, end):
            self._chunk(index)

    def missing(self, first: int, end: int) -> int:
        """How many of the chunks of a part are not in the cache."""
        touched = self.chunks.touched(first, end)
        return sum(self._store.chunk(self._known, index, self._size(index)) is None for index, _, _ in touched)

    def flush(self) -> None:
        """Write what was computed, unless the source may be another one by now. Raises BadClip if it is."""
        if self._opened is None:
            return
        if identity_of(self._clip.source) != self._known.identity:
            raise clip_name(self._clip).bad_clip(CHANGES)
        if self._known.identity.is_settled:
            self._store.arrays.write(self._pending)
        self._pending = {}

    def _accepted(self) -> Chunks:
        """The length of the source of a clip that is read for the first time. Raises BadClip."""
        sound = self._decoded()
        clip_span(self._clip, sound.source)
        facts = np.array((sound.chunks.frames, sound.chunks.own_hz), np.float64)
        self._pending[self._known.key_of_clip(self._clip)] = facts
        return sound.chunks

    def _part_alone(self, sound: DecodedSound, first: int, end: int) -> np.ndarray:
        """A part of a source that is not resampled, without what else is in its chunks."""
        part = sound.part(first, end)
        return as_float(to_16_bit(part)) if self._store.is_16_bit else part

    def _within(self, index: int, first: int, end: int) -> np.ndarray:
        """The samples `first` to `end` of the sound, which are all in one chunk, as they are kept."""
        start, _ = self.chunks.bounds(index)
        return self._chunk(index)[first - start : end - start]

    def _chunk(self, index: int) -> np.ndarray:
        kept = self._store.chunk(self._known, index, self._size(index))
        key = self._known.key_of_chunk(index) if kept is None else b""
        if kept is None and (kept := self._pending.get(key)) is None:
            kept = self._pending[key] = self._store.to_keep(self._decoded().chunk(index))
            if sum(array.nbytes for array in self._pending.values()) > PENDING_BYTES:
                self.flush()
        return kept

    def _size(self, index: int) -> int:
        first, end = self.chunks.bounds(index)
        return end - first

    def _decoded(self) -> DecodedSound:
        """The sound of the source itself, opened when it is first needed. Raises BadClip."""
        if self._opened is None:
            name = clip_name(self._clip)
            self._stack = ExitStack()
            self._opened = self._stack.enter_context(open_sound(self._clip.source, name, self._store.rate_hz))
            if self._kept is not None and self._kept != self._opened.chunks:
                raise name.bad_clip(CHANGES)
        return self._opened


class _KnownSource:
    """The source of a cached sound, which is opened only if its frames are needed. Its clip was accepted before."""

    is_exact = is_examined = True

    def __init__(self, chunks: Chunks, opened: Callable[[], DecodedSound]) -> None:
        self._chunks, self._opened = chunks, opened

    @property
    def verdict(self) -> Verdict:
        """See OpenSource."""
        return Verdict(self._chunks.frames, self._chunks.own_hz, self._chunks.frames / self._chunks.own_hz)

    def level_fault(self, first: int, end: int) -> str:  # noqa: ARG002
        """See OpenSource. A clip with a fault is not accepted."""
        return ""

    def blocks(self, first: int, end: int) -> Iterator[np.ndarray]:
        """See OpenSource."""
        return self._opened().source.blocks(first, end)


_STORES: dict[tuple[int, WaveformCache, int], WaveformStore] = {}


def waveform_store(cache: WaveformCache, rate_hz: int) -> WaveformStore:
    """The cache as this process has it open, until its end or `close_stores`."""
    key = os.getpid(), cache, rate_hz  # a fork must not write to the pack of its parent
    if key not in _STORES:
        _STORES[key] = WaveformStore(cache, rate_hz)
    return _STORES[key]


@atexit.register
def close_stores() -> None:
    """Close every cache that this process has open; what it reads next opens them again."""
    while _STORES:
        (owner, *_), store = _STORES.popitem()
        if owner == os.getpid():
            store.arrays.close()


def cached_sound(
    cache: WaveformCache, clip: Clip, rate_hz: int
) -> AbstractContextManager[CachedSound] | AbstractContextManager[DecodedSound]:
    """The sound of a clip at `rate_hz`, from the cache where it is there. Raises BadClip and CannotRead."""
    store = waveform_store(cache, rate_hz)
    store.arrays.mark_used()
    known = store.known(clip)
    return open_sound(clip.source, clip_name(clip), rate_hz) if known is None else CachedSound(store, known, clip)
