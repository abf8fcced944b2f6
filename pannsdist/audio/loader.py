"""Batches are decoded ahead of the training, in worker processes that know nothing of Paddle."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pannsdist.audio.batches import read_batch
from pannsdist.contracts.batch import Batch

Order = TypeVar("Order")
Done = TypeVar("Done")
AHEAD = 3
"""Batches under way for each worker."""


class Loader:
    """Reads batches in `workers` processes, in the order asked for; with none, in this process.

    The workers are loky's: started once, fresh processes rather than copies of one that holds network threads, and
    their exceptions arrive here whole, with the worker's own traceback as the cause. They start with the first batch.
    `read_one` makes a batch out of an order; `prepare` is called once in each worker before its first. Workers see no
    GPU: it belongs to the training.
    """

    def __init__(
        self,
        workers: int,
        read_one: Callable[[Any], Batch] = read_batch,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self.workers, self._read_one, self._prepare = workers, read_one, prepare
        self._executor: Any = None

    def read(self, orders: Iterable[Any]) -> Iterator[Batch]:
        """One batch for each order, in order. Raises what a worker raised; BadClip names the clip and its path."""
        return self.map(self._read_one, orders)

    def map(self, work: Callable[[Order], Done], orders: Iterable[Order]) -> Iterator[Done]:
        """What `work`, a function of a module, makes of each order, in order. Raises what a worker raised."""
        if self.workers == 0:
            yield from map(work, orders)
            return
        executor = self._started()
        under_way: deque[Any] = deque()
        try:
            for order in orders:
                with _signals_held():
                    under_way.append(executor.submit(work, order))
                if len(under_way) >= self.workers * AHEAD:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()

    def close(self) -> None:
        """End the workers."""
        if self._executor is not None:
            self._executor.shutdown(wait=True)
            self._executor = None

    def _started(self) -> Any:
        if self._executor is None:
            from multiprocessing import resource_tracker

            from joblib.externals import loky

            resource_tracker.ensure_running()  # outside `_signals_held`: its start lets them through (Python 3.11)
            env = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
            self._executor = loky.ProcessPoolExecutor(
                self.workers, env=env, initializer=_begin, initargs=(os.getpid(), self._prepare)
            )
        return self._executor


@contextmanager
def _signals_held() -> Iterator[None]:
    """A process or thread that starts within the block never hears SIGINT or SIGTERM; for this one they wait outside.

    Ctrl-C, and a batch system's SIGTERM, reach every process of a run: the training still needs its batches until it
    has saved. A worker that were to ignore them by itself would do so too late: it first imports for a second.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(parent: int, prepare: Callable[[], None] | None) -> None:
    """Let a worker end with its parent, then prepare it: loky's (joblib 1.5) wait for ever for one that was killed."""
    threading.Thread(target=_leave_after, args=(parent,), daemon=True).start()
    if prepare is not None:
        prepare()


def _leave_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)
