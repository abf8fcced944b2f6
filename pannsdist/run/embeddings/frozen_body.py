"""Batches of embeddings in place of waveforms, while the whole body of a network is frozen.

An embedding is in the cache, else it is computed when its clip is needed: with an empty cache, one that cannot be
written, or one that another run has filled, a run has the same bits. Axes: B clips of a batch, E size of an embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import islice

import numpy as np

from pannsdist.audio.batch_reading import BatchRequest, read_marked
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.loader import Loader
from pannsdist.cache.arrays import ArrayCache, cache_folder
from pannsdist.contracts.batch import Batch
from pannsdist.contracts.network import Network
from pannsdist.distributed.world import World
from pannsdist.inference.heads import head_inputs
from pannsdist.run.embeddings.engine import BodyEngine, engine_name
from pannsdist.run.embeddings.identity import Body, recipe, refuse_not_finite
from pannsdist.run.embeddings.lookup import Lookup
from pannsdist.run.embeddings.network_check import Finding, examine
from pannsdist.run.planning.frozen_body import obstacle
from pannsdist.run.planning.plan import Plan
from pannsdist.runtime import console
from pannsdist.runtime.errors import BadClip

LOOKED_UP = 16
"""Batches that are looked up in the cache at once; of what is missing among them, the workers read ahead."""


def build_frozen_body(plan: Plan, world: World, network: Network, loader: Loader) -> FrozenBody | None:
    """The embeddings of a run whose frozen body is computed once for each clip; None for any other.

    All processes must call this, once the stages are frozen. Prints why where it is the network's part.
    """
    if not plan.freezes_body or obstacle(plan):
        return None
    found = world.on_main(lambda: examined(plan, network))
    if found.reason:
        console.print_main(remark(found))
    return FrozenBody(plan, network, loader, found.size) if found.size else None


def examined(plan: Plan, network: Network) -> Finding:
    """What noise shows about the network of a run."""
    return examine(network, round(plan.lengths.train_crop_s * plan.front_end.sample_rate_hz))


def remark(found: Finding) -> str:
    """A line that says why the body is computed in every step."""
    return f"the frozen body is computed in every step: of the network, {found.reason}"


class FrozenBody:
    """The embeddings of a run's clips while its body is frozen; every process has one. A context manager.

    `batches` may be called within it only: on entering, the weights are those that an embedding is computed with.
    `size` is E.
    """

    def __init__(self, plan: Plan, network: Network, loader: Loader, size: int) -> None:
        self._plan, self._network, self._loader, self._size = plan, network, loader, size
        self._head = plan.plugins.model.plugin.head
        self._caches: dict[ClipReader, ArrayCache] = {}
        self._checked: set[ClipReader] = set()

    def __enter__(self) -> FrozenBody:
        weights = self._network.arrays()
        self._engine, self._body = BodyEngine(self._plan, weights), Body(self._plan.plugins, weights, self._head)
        self._stack = ExitStack()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def covers(self, epoch: int) -> bool:
        """Whether the body is frozen in an epoch, counted from 1."""
        unfrozen = self._plan.settings.train.unfreeze_epoch
        return unfrozen is None or epoch < unfrozen

    def batches(self, requests: Iterable[BatchRequest]) -> Iterator[Batch]:
        """A batch of embeddings for each request. Raises what reading raises, and UserError for values not finite."""
        remaining = iter(requests)
        while some := list(islice(remaining, LOOKED_UP)):
            cache = self._cache(some[0].reader)
            lookups = [Lookup(request) for request in some]
            known = cache.read(key for one in lookups for keys in one.keys.values() for key in keys)
            for one in lookups:
                one.take(known, self._size)
            self._forget_wrong(cache, lookups)
            missing = [one.rest for one in lookups if one.missing]
            read = self._loader.map(read_marked, missing) if missing else iter(())  # else no worker is started
            for one in lookups:
                bad = self._compute(cache, one, *next(read)) if one.missing else ()
                yield self._batch(one, bad)

    def _cache(self, reader: ClipReader) -> ArrayCache:
        if reader not in self._caches:
            how = recipe(self._body, reader, f"one by one, by the engine {engine_name(self._plan)}")
            cache = ArrayCache(cache_folder(), how, self._plan.settings.data.cache_limit_gb)
            self._caches[reader] = self._stack.enter_context(cache)
        return self._caches[reader]

    def _forget_wrong(self, cache: ArrayCache, lookups: Sequence[Lookup]) -> None:
        """Compute one embedding of a cache again. Where it differs, as of a plugin that has changed, forget all."""
        found = next((one for one in lookups if one.vectors), None)
        if found is None or found.request.reader in self._checked:
            return
        reader, row = found.request.reader, min(found.vectors)
        self._checked.add(reader)
        with suppress(BadClip):
            if not self._engine.gives(reader.read(found.request.clips[row], None), found.vectors[row]):
                console.note_main("embeddings in the cache are not those of this network: they are computed again")
                cache.forget()
                for one in lookups:
                    one.vectors.clear()

    def _compute(self, cache: ArrayCache, one: Lookup, batch: Batch, is_random: np.ndarray) -> tuple[BadClip, ...]:
        """Compute the missing rows of a batch that could be read, and keep what is the same each time.

        Crops that were drawn are not; they are computed together, by the network of the run, as in any other step.
        """
        rows, vectors = one.rows_of(batch.ids), np.zeros((len(batch.ids), self._size), np.float32)
        is_drawn = is_random & (one.request.randomness is not None)
        for place in np.flatnonzero(~is_drawn):
            vectors[place] = self._engine.run(batch.waveforms[place : place + 1])[0]
        if is_drawn.any():
            vectors[is_drawn] = head_inputs(self._network, self._head, batch.waveforms[is_drawn])
        refuse_not_finite(batch.ids, vectors)
        one.vectors.update(zip(rows, vectors, strict=True))
        keys = [one.key_to_keep(row, bool(random)) for row, random in zip(rows, is_random, strict=True)]
        cache.write({key: vector for key, vector in zip(keys, vectors, strict=True) if key is not None})
        return batch.bad

    def _batch(self, one: Lookup, bad: tuple[BadClip, ...]) -> Batch:
        rows = sorted(one.vectors)
        vectors = np.stack([one.vectors[row] for row in rows]) if rows else np.zeros((0, self._size), np.float32)
        ids = tuple(one.request.clips[row].id for row in rows)
        return Batch(ids, vectors, one.request.targets[rows], bad, is_embedded=True)
