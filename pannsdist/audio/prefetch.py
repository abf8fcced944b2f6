"""Several sources are read ahead in threads, a little at a time, and heard in their order."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

THREADS, SOURCES_AHEAD, ITEMS_AHEAD = 2, 8, 8
PATIENCE_S = 0.1

Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    """What follows the last item of a source; `error` if it ended with one."""

    error: Exception | None = None


class _PrefetchedSource(Generic[Item]):
    """A source being read by a thread; no more than `ITEMS_AHEAD` of its items wait at a time."""

    def __init__(self, start: Callable[[], Iterable[Item]], stop: threading.Event) -> None:
        self._start, self._stop = start, stop
        self._waiting: queue.Queue[Item | _End] = queue.Queue(ITEMS_AHEAD)

    def read(self) -> None:
        """The thread's work."""
        end = _End()
        try:
            for item in self._start():
                if not self._put(item):
                    return
        except Exception as error:  # noqa: BLE001 raised again where the source is heard
            end = _End(error)
        self._put(end)

    def _put(self, item: Item | _End) -> bool:
        while not self._stop.is_set():
            try:
                self._waiting.put(item, timeout=PATIENCE_S)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[Item]:
        while not isinstance(item := self._waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error


def ahead(starts: Iterable[Callable[[], Iterable[Item]]]) -> Iterator[Iterable[Item]]:
    """Each source's items, source by source in their order; hear each to its end before the next.

    Two threads read up to eight sources ahead, up to eight items of each, so that memory does not grow with their
    length or number. An error of a source is raised where its items are heard. Closing the iterator ends the threads.
    """
    stop, remaining = threading.Event(), iter(starts)
    under_way: deque[_PrefetchedSource[Item]] = deque()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="ahead") as pool:

        def begin(count: int) -> None:
            for start in islice(remaining, count):
                under_way.append(_PrefetchedSource(start, stop))
                pool.submit(under_way[-1].read)

        try:
            begin(SOURCES_AHEAD)
            while under_way:
                yield under_way[0]
                under_way.popleft()
                begin(1)
        finally:
            stop.set()
