"""Batches of what the first part of a network gives, in place of waveforms: computed once for each clip.

It is in the cache, else it is computed when its clip is needed: with an empty cache, one that cannot be written, or one
that another run has filled, a run has the same bits. Axes: S samples, R clips of a request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pannsdist.audio.batch_reading import BatchRequest, assembled, read_marked
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.loader import Loader
from pannsdist.cache.arrays import ArrayCache
from pannsdist.contracts.batch import Batch
from pannsdist.run.embeddings.lookup import Lookup
from pannsdist.runtime import console
from pannsdist.runtime.errors import BadClip

LOOKED_UP = 16
"""Batches that are looked up in the cache at once; of what is missing among them, the workers read ahead."""


class FirstPart(Protocol):
    """The part of a network whose output is kept: one array of each clip, of up to two axes."""

    @property
    def name(self) -> str:
        """What the arrays are, for messages: embeddings, features."""
        ...

    def shape(self, reader: ClipReader) -> tuple[int, ...]:
        """The shape of an array."""
        ...

    def recipe(self, reader: ClipReader) -> dict[str, Any]:
        """Everything but the clip that an array depends on."""
        ...

    def alone(self, waveform: np.ndarray) -> np.ndarray:
        """A waveform (1, S) float32 -> its array: always the same bits on this machine."""
        ...

    def together(self, waveforms: np.ndarray) -> np.ndarray:
        """Waveforms (R, S) float32 -> arrays (R, ...), as any other step computes them."""
        ...

    def gives(self, waveform: np.ndarray, array: np.ndarray) -> bool:
        """Whether this is the array of a waveform (S,), up to rounding."""
        ...


@dataclass(frozen=True)
class Place:
    """The folder of a cache, and the limit of all that it holds."""

    root: Path
    limit_gb: float


class KeptArrays:
    """What the first part of a network gives for the clips of a run; every process has one. A context manager."""

    def __init__(self, part: FirstPart, loader: Loader, place: Place) -> None:
        self._part, self._loader, self._place = part, loader, place
        self._caches: dict[ClipReader, ArrayCache] = {}
        self._checked: set[ClipReader] = set()
        self._stack = ExitStack()

    def __enter__(self) -> KeptArrays:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._caches.clear()

    def batches(self, requests: Iterable[BatchRequest]) -> Iterator[Batch]:
        """A batch of arrays for each request; of waveforms (0, S) where no clip can be read. Raises as reading does."""
        remaining = iter(requests)
        while some := list(islice(remaining, LOOKED_UP)):
            cache, shape = self._cache(some[0].reader), self._part.shape(some[0].reader)
            lookups = [Lookup(request) for request in some]
            known = cache.read(key for one in lookups for keys in one.keys.values() for key in keys)
            for one in lookups:
                one.take(known, shape)
            self._forget_wrong(cache, lookups)
            missing = [one.rest for one in lookups if one.missing]
            read = self._loader.map(read_marked, missing) if missing else iter(())  # else no worker is started
            for one in lookups:
                bad = self._compute(cache, one, *next(read)) if one.missing else {}
                batch = assembled(one.request, _Arrays(one, bad))
                one.arrays.clear()  # the next ones may be as large
                yield batch

    def _cache(self, reader: ClipReader) -> ArrayCache:
        if reader not in self._caches:
            cache = ArrayCache(self._place.root, self._part.recipe(reader), self._place.limit_gb)
            self._caches[reader] = self._stack.enter_context(cache)
        return self._caches[reader]

    def _forget_wrong(self, cache: ArrayCache, lookups: Sequence[Lookup]) -> None:
        """Compute one array of a cache again. Where it differs, as of a plugin that has changed, forget all."""
        found = next((one for one in lookups if one.arrays), None)
        if found is None or found.request.reader in self._checked:
            return
        reader, row = found.request.reader, min(found.arrays)
        self._checked.add(reader)
        with suppress(BadClip):
            if not self._part.gives(reader.read(found.request.clips[row], None), found.arrays[row]):
                wrong = f"{self._part.name} in the cache are not those of this network"
                console.note_main(f"{wrong}: they are computed again")
                cache.forget()
                for one in lookups:
                    one.arrays.clear()

    def _compute(self, cache: ArrayCache, one: Lookup, batch: Batch, is_random: np.ndarray) -> dict[int, BadClip]:
        """Compute the missing rows of a batch that could be read, and keep what is finite and the same each time.

        Crops that were drawn are not the same; they are computed together, by the network of the run, as in any other
        step. Returns the errors of the rows that could not be read.
        """
        rows, is_drawn = one.rows_of(batch.ids), is_random & (one.request.randomness is not None)
        unread = [row for row in one.missing if row not in rows]
        drawn = iter(self._part.together(batch.waveforms[is_drawn]) if is_drawn.any() else ())
        kept: dict[bytes, np.ndarray] = {}
        for place, row in enumerate(rows):
            array = next(drawn) if is_drawn[place] else self._part.alone(batch.waveforms[place : place + 1])
            one.arrays[row] = array
            key = one.key_to_keep(row, bool(is_random[place]))
            if key is not None and np.isfinite(array).all():
                kept[key] = array
        cache.write(kept)
        return dict(zip(unread, batch.bad, strict=True))


class _Arrays:
    """The arrays of a request, as they are put into a batch."""

    def __init__(self, one: Lookup, bad: Mapping[int, BadClip]) -> None:
        self.rows, self.bad, self._one = sorted(one.arrays), bad, one
        self.targets = one.request.targets[:]

    def sound_s(self, _: list[int]) -> None:
        """Targets by frame follow the crop: nothing is kept for a network that has them."""

    def of(self, rows: list[int]) -> np.ndarray:
        """The arrays at these rows; without any, waveforms (0, S)."""
        found = [self._one.arrays[row] for row in rows]
        return np.stack(found) if found else np.zeros((0, self._one.request.reader.crop_samples), np.float32)
