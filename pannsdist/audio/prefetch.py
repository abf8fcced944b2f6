"""Reads several sources ahead in threads, with a limit on what is buffered, and yields them in order."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

THREADS, MAX_SOURCES, MAX_ITEMS = 2, 8, 8
STOP_POLL_S = 0.1

Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    """Follows the last item of a source; `error` if reading it failed."""

    error: Exception | None = None


class _PrefetchedSource(Generic[Item]):
    """A source read by a thread; at most `MAX_ITEMS` of its items are buffered."""

    def __init__(self, open_items: Callable[[], Iterable[Item]], stop: threading.Event) -> None:
        self._open_items, self._stop = open_items, stop
        self._buffer: queue.Queue[Item | _End] = queue.Queue(MAX_ITEMS)

    def read(self) -> None:
        """Fill the buffer; runs in a thread."""
        end = _End()
        try:
            for item in self._open_items():
                if not self._put(item):
                    return
        except Exception as error:  # noqa: BLE001 raised again in the consumer
            end = _End(error)
        self._put(end)

    def _put(self, item: Item | _End) -> bool:
        while not self._stop.is_set():
            try:
                self._buffer.put(item, timeout=STOP_POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[Item]:
        while not isinstance(item := self._buffer.get(), _End):
            yield item
        if item.error is not None:
            raise item.error


def prefetch(sources: Iterable[Callable[[], Iterable[Item]]]) -> Iterator[Iterable[Item]]:
    """The items of each source, source by source in order; consume each to its end before the next.

    A source is a function that opens its items. Two threads read up to eight sources ahead, up to eight items of each,
    so that memory grows neither with their length nor with their number. An error of a source is raised where its items
    are consumed. Closing the iterator ends the threads.
    """
    stop, remaining = threading.Event(), iter(sources)
    pending: deque[_PrefetchedSource[Item]] = deque()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="prefetch") as pool:

        def start(count: int) -> None:
            for open_items in islice(remaining, count):
                pending.append(_PrefetchedSource(open_items, stop))
                pool.submit(pending[-1].read)

        try:
            start(MAX_SOURCES)
            while pending:
                yield pending[0]
                pending.popleft()
                start(1)
        finally:
            stop.set()
