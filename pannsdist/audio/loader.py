"""Prefetches batches in worker processes, which import no Paddle."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from pannsdist.audio.batch_reading import read_batch
from pannsdist.contracts.batch import Batch
from pannsdist.runtime.errors import WorkerDied

Request = TypeVar("Request")
Result = TypeVar("Result")
PREFETCH_FACTOR = 3
"""Batches in flight for each worker."""
PARENT_POLL_S = 0.5


class Loader:
    """Reads batches in `workers` processes and yields them in the order of the requests; with 0 in this process.

    The workers are loky's, started once, by `start` or with the first batch: fresh processes and not forks of one that
    has threads of MPI or CUDA. Exceptions of a worker are raised here, with the worker's traceback as their cause.
    `read_one` makes a batch from a request; `prepare` is called once in each worker before its first. Workers see no
    GPU, whose memory belongs to the training.
    """

    def __init__(
        self,
        workers: int,
        read_one: Callable[[Any], Batch] = read_batch,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self.workers, self._read_one, self._prepare = workers, read_one, prepare
        self._executor: Any = None

    def start(self) -> Loader:
        """Start the workers, which import for half a second before their first batch, while the caller does other work.

        Returns itself. Raises WorkerDied.
        """
        if self.workers:
            self._submit(_nothing)
        return self

    def read(self, requests: Iterable[Any]) -> Iterator[Batch]:
        """One batch for each request, in order. Raises what a worker raised, BadClip for a clip, and WorkerDied."""
        return self.map(self._read_one, requests)

    def map(self, function: Callable[[Request], Result], requests: Iterable[Request]) -> Iterator[Result]:
        """`function`, which must be importable, of each request, in order. Raises what a worker raised."""
        if self.workers == 0:
            yield from map(function, requests)
            return
        in_flight: deque[Any] = deque()
        try:
            for request in requests:
                in_flight.append(self._submit(function, request))
                if len(in_flight) >= self.workers * PREFETCH_FACTOR:
                    yield _of_worker(in_flight.popleft().result)
            while in_flight:
                yield _of_worker(in_flight.popleft().result)
        finally:
            for future in in_flight:
                future.cancel()

    def close(self) -> None:
        """End the workers, also in the middle of a batch: nobody waits for it any more."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, kill_workers=True)
            self._executor = None

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The future of a call in a worker. Raises WorkerDied."""
        executor = self._started()
        with _signals_blocked():
            return _of_worker(lambda: executor.submit(function, *arguments))

    def _started(self) -> Any:
        if self._executor is None:
            from multiprocessing import resource_tracker

            from joblib.externals import loky

            resource_tracker.ensure_running()  # outside `_signals_blocked`: its start unblocks them (Python 3.11)
            env = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
            self._executor = loky.ProcessPoolExecutor(
                self.workers, env=env, initializer=_initialize_worker, initargs=(os.getpid(), self._prepare)
            )
        return self._executor


def _nothing() -> None:
    """The first task of a worker: loky starts them all with one."""


def _of_worker(call: Callable[[], Any]) -> Any:
    """What a call gives that needs the workers. Raises WorkerDied where one of them has ended instead."""
    try:
        return call()
    except BrokenExecutor as error:
        wrong = "a worker process that reads clips has ended without an error, as when the memory is used up"
        right = "with fewer data.workers less memory is needed; data.workers=0 reads in the process itself, and shows\n"
        raise WorkerDied(wrong, right + "whether a clip or a plugin is the cause", "free -h; dmesg | tail") from error


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Processes and threads started within the block ignore SIGINT and SIGTERM; this one receives them after it.

    Ctrl-C, and SIGTERM of a batch system, go to every process of a run, but training needs its batches until it has
    saved. Ignoring them in the worker itself would be too late: it first imports for a second.
    """
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _initialize_worker(parent: int, prepare: Callable[[], None] | None) -> None:
    """End this worker when its parent is killed (loky's of joblib 1.5 would wait forever), and call `prepare`."""
    threading.Thread(target=_exit_after, args=(parent,), daemon=True).start()
    if prepare is not None:
        prepare()


def _exit_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_S)
    os._exit(0)
