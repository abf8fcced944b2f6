"""Prefetches batches in worker processes, which import no Paddle."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

import numpy as np

from pannsdist.audio.batch_reading import read_batch
from pannsdist.audio.workers.pool import WorkerPool
from pannsdist.contracts.batch import Batch

Request = TypeVar("Request")
Result = TypeVar("Result")
PREFETCH_FACTOR = 3
"""Batches in flight for each worker."""


class Loader:
    """Reads batches in `workers` processes and yields them in the order of the requests; with 0 in this process.

    The workers are fresh processes, started once, by `start` or with the first batch. Exceptions of a worker are raised
    here, with the worker's traceback as their cause. `read_one` makes a batch from a request and a function like
    `np.empty`, for its arrays; `prepare` is called once in each worker before its first. Workers see no GPU, whose
    memory belongs to the training. In a fork of this process the loader starts workers of its own.
    """

    def __init__(
        self,
        workers: int,
        read_one: Callable[[Any, Callable[..., np.ndarray]], Batch] = read_batch,
        prepare: Callable[[], object] | None = None,
    ) -> None:
        self.workers, self._read_one, self._prepare = workers, read_one, prepare
        self._pools: dict[int, WorkerPool] = {}

    def start(self) -> Loader:
        """Start the workers, which import for some time before their first batch, while the caller does other work.

        Returns itself. Raises UserError where none can start.
        """
        if self.workers:
            self._pool()
        return self

    def read(self, requests: Iterable[Any]) -> Iterator[Batch]:
        """One batch for each request, in order. Raises what a worker raised, BadClip for a clip, and WorkerDied.

        A batch stays as it is for as long as anything refers to its arrays: the workers reuse their memory only then.
        """
        if self.workers == 0:
            yield from (self._read_one(request, np.empty) for request in requests)
        else:
            yield from self._passed(self._read_one, requests, needs_memory=True)

    def map(self, function: Callable[[Request], Result], requests: Iterable[Request]) -> Iterator[Result]:
        """`function` of each request, in order. Raises what a worker raised, and WorkerDied."""
        yield from map(function, requests) if self.workers == 0 else self._passed(function, requests)

    def close(self) -> None:
        """End the workers, also in the middle of a batch: nobody waits for it any more. Batches stay as they are."""
        if pool := self._pools.pop(os.getpid(), None):
            pool.close()

    def _passed(
        self, function: Callable[..., Any], requests: Iterable[Any], needs_memory: bool = False
    ) -> Iterator[Any]:
        pool, in_flight = self._pool(), deque[int]()
        try:
            for request in requests:
                in_flight.append(pool.submit(function, (request,), needs_memory))
                if len(in_flight) >= self.workers * PREFETCH_FACTOR:
                    yield pool.result(in_flight.popleft())
            while in_flight:
                yield pool.result(in_flight.popleft())
        finally:
            pool.cancel(set(in_flight))

    def _pool(self) -> WorkerPool:
        own = os.getpid()
        if own not in self._pools:
            self._pools[own] = WorkerPool(self.workers, partial(_prepare, self._read_one, self._prepare))
        return self._pools[own]


def _prepare(_: Callable[..., Batch], prepare: Callable[[], object] | None) -> None:
    """Called first in a worker; that it gets the function which it will call imports the module of that."""
    if prepare is not None:
        prepare()
