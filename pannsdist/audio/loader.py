"""Batches are decoded ahead of the training, in worker processes that know nothing of Paddle."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pannsdist.audio.batches import read_batch
from pannsdist.batch import Batch

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
        if self.workers == 0:
            yield from map(self._read_one, orders)
            return
        executor = self._started()
        under_way: deque[Any] = deque()
        try:
            for order in orders:
                under_way.append(executor.submit(self._read_one, order))
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
            from joblib.externals import loky

            env = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
            self._executor = loky.ProcessPoolExecutor(self.workers, initializer=self._prepare, env=env)
        return self._executor
