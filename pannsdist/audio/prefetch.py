"""Reads several sources ahead in threads, with a limit on what is buffered, and yields them in order.

The threads are daemons that end with their iterator, or when the interpreter exits: an iterator that an exception or a
notebook still holds must not keep the process alive. Those of an executor would: Python joins them before any other
code runs at exit.
"""

from __future__ import annotations

import atexit
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

THREADS, MAX_SOURCES, MAX_ITEMS = 2, 8, 8
STOP_POLL_S = 0.1
EXIT_JOIN_S = 5.0
"""How long an exiting interpreter waits for a thread that is decoding one block."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    """Follows the last item of a source; `error` if reading it failed."""

    error: BaseException | None = None


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
        except BaseException as error:  # noqa: BLE001 raised again in the consumer, which would wait forever for an end
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


class _Readers:
    """Threads that read sources one after another, in the order in which they were added."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._sources: queue.SimpleQueue[_PrefetchedSource[object] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"prefetch_{number}", daemon=True) for number in range(THREADS)
        ]
        _OPEN.add(self)
        for thread in self._threads:
            thread.start()

    def add(self, source: _PrefetchedSource[object]) -> None:
        """Have a source read once a thread is free."""
        self._sources.put(source)

    def close(self, timeout_s: float | None = None) -> None:
        """Stop reading, and wait for the threads."""
        self.stop.set()
        for _ in self._threads:
            self._sources.put(None)
        for thread in self._threads:
            thread.join(timeout_s)

    def _run(self) -> None:
        while (source := self._sources.get()) is not None and not self.stop.is_set():
            source.read()


_OPEN: weakref.WeakSet[_Readers] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for readers in tuple(_OPEN):
        readers.close(EXIT_JOIN_S)


def prefetch(sources: Iterable[Callable[[], Iterable[Item]]]) -> Generator[Iterable[Item]]:
    """The items of each source, source by source in order; consume each to its end before the next.

    A source is a function that opens its items. Two threads read up to eight sources ahead, up to eight items of each,
    so that memory grows neither with their length nor with their number. An error of a source is raised where its items
    are consumed. Closing the iterator ends the threads, and so does the end of the interpreter.
    """
    remaining = iter(sources)
    pending: deque[_PrefetchedSource[Item]] = deque()
    readers = _Readers()

    def start(count: int) -> None:
        for open_items in islice(remaining, count):
            pending.append(_PrefetchedSource(open_items, readers.stop))
            readers.add(pending[-1])  # type: ignore[arg-type]

    try:
        start(MAX_SOURCES)
        while pending:
            yield pending[0]
            pending.popleft()
            start(1)
    finally:
        readers.close()
