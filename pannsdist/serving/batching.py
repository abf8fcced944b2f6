"""Windows of several requests in one forward pass: all engines of a process run in one thread, which collects them.

The requests themselves are computed by as many threads at a time as there are cores.

Axes: B windows, S samples.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from pannsdist.inference.engines.engine import Engine


class Abandoned(OSError):
    """A request that nobody waits for any more; an OSError, so that a decoder takes it for no fault of its file."""


class Work:
    """A request that is computed: whoever works for it asks now and then whether it is still wanted."""

    def __init__(self) -> None:
        self.is_abandoned = False

    def check(self) -> None:
        """Raise Abandoned."""
        if self.is_abandoned:
            raise Abandoned("the request was abandoned")


@dataclass
class _Part:
    """Windows of one request, in a queue until a forward pass has taken them."""

    engine: Engine
    output: str
    waveforms: np.ndarray
    limit: int
    work: Work | None
    done: threading.Event = field(default_factory=threading.Event)
    found: np.ndarray | None = None
    error: BaseException | None = None

    def joins(self, other: _Part) -> bool:
        """Whether both can be in one batch."""
        same = self.engine is other.engine and self.output == other.output
        return same and self.waveforms.shape[1] == other.waveforms.shape[1]


class Places:
    """So many threads compute at a time; those that return from a wait come before those that begin."""

    def __init__(self, count: int) -> None:
        self._free, self.returning = count, 0
        self._changed = threading.Condition()

    def begin(self) -> None:
        """Wait for a place."""
        with self._changed:
            self._changed.wait_for(lambda: self._free > self.returning)
            self._free -= 1

    def leave(self) -> None:
        """Give the place to another thread, for good or for a wait."""
        with self._changed:
            self._free += 1
            self._changed.notify_all()

    def come_back(self) -> None:
        """Wait for a place after a wait."""
        with self._changed:
            self.returning += 1
            self._changed.wait_for(lambda: self._free > 0)
            self.returning -= 1
            self._free -= 1


class Batcher:
    """Runs parts in one thread, the oldest first, together with later ones that join it.

    It runs at once what is there, unless a request that is being computed has no part here: then it waits for it, until
    `max_wait_s` after the arrival of the oldest part. `observe` gets the windows of each forward pass. Of the requests
    that are computed, `cores` are at work at a time: more would be slower together, and hold more decoded sounds.
    """

    def __init__(self, max_wait_s: float, cores: int, observe: Callable[[int], None]) -> None:
        self._max_wait_s, self._observe = max_wait_s, observe
        self._places = Places(cores)
        self._changed = threading.Condition()
        self._parts: deque[_Part] = deque()
        self._elsewhere = 0
        self._room = np.empty(0, np.float32)
        self._current = threading.local()
        threading.Thread(target=self._serve, name="engine", daemon=True).start()

    @contextmanager
    def working(self, work: Work) -> Iterator[None]:
        """Context in which this thread computes a request, so that others may wait for its windows."""
        self._move(1)
        self._places.begin()
        self._current.work = work
        try:
            yield
        finally:
            self._current.work = None
            self._places.leave()
            self._move(-1)

    def run(self, engine: Engine, output: str, waveforms: np.ndarray, limit: int) -> np.ndarray:
        """What the engine gives for these windows (B, S), which share a pass of at most `limit` windows with others."""
        work = getattr(self._current, "work", None)
        if work is not None:
            work.check()
        part = _Part(engine, output, waveforms, limit, work)
        with self._changed:
            self._parts.append(part)
            self._elsewhere -= work is not None
            self._changed.notify()
        if work is None:
            part.done.wait()
        else:
            self._places.leave()
            part.done.wait()
            self._places.come_back()
        if part.error is not None:
            raise part.error
        assert part.found is not None
        return part.found

    def _move(self, count: int) -> None:
        with self._changed:
            self._elsewhere += count
            self._changed.notify()

    def _serve(self) -> None:
        while True:
            batch = self._collect()
            for part, found in zip(batch, self._computed(batch), strict=True):
                part.found, part.error = (None, found) if isinstance(found, BaseException) else (found, None)
                part.done.set()
            del batch, part, found  # else the last request stays in memory

    def _collect(self) -> list[_Part]:
        """The next parts to run together."""
        with self._changed:
            while not self._parts:
                self._changed.wait()
            first = self._parts[0]
            until = time.monotonic() + self._max_wait_s
            while self._elsewhere > 0 and self._windows(first) < first.limit:
                if (left := until - time.monotonic()) <= 0:
                    break
                self._changed.wait(left)
            return self._take(first)

    def _windows(self, first: _Part) -> int:
        return sum(len(part.waveforms) for part in self._parts if part.joins(first))

    def _take(self, first: _Part) -> list[_Part]:
        taken, windows, left = [first], len(first.waveforms), deque[_Part]()
        for part in self._parts:
            if part is first:
                continue
            if part.joins(first) and windows + len(part.waveforms) <= first.limit:
                taken.append(part)
                windows += len(part.waveforms)
            else:
                left.append(part)
        self._parts = left
        self._elsewhere += sum(part.work is not None for part in taken)
        return taken

    def _computed(self, batch: list[_Part]) -> list[np.ndarray | BaseException]:
        """What each part gets: its outputs, or the error of the batch."""
        wanted = [part for part in batch if not (part.work and part.work.is_abandoned)]
        found: dict[int, np.ndarray | BaseException] = {}
        try:
            if wanted:
                outputs = self._outputs(wanted)
                ends = np.cumsum([len(part.waveforms) for part in wanted])
                found = {id(p): o for p, o in zip(wanted, np.split(outputs, ends[:-1]), strict=True)}
        except BaseException as error:  # noqa: BLE001 raised again in the threads of the requests
            found = dict.fromkeys(map(id, wanted), error)
        return [found.get(id(part), Abandoned("the request was abandoned")) for part in batch]

    def _outputs(self, parts: list[_Part]) -> np.ndarray:
        waveforms = self._joined(parts)
        self._observe(len(waveforms))
        return parts[0].engine.run(parts[0].output, waveforms)

    def _joined(self, parts: list[_Part]) -> np.ndarray:
        """Their windows in the order of the parts, in memory that the next call uses again."""
        if len(parts) == 1:
            return parts[0].waveforms
        shape = (sum(len(part.waveforms) for part in parts), parts[0].waveforms.shape[1])
        if self._room.size < shape[0] * shape[1]:
            self._room = np.empty(parts[0].limit * shape[1], np.float32)
        room = self._room[: shape[0] * shape[1]].reshape(shape)
        return np.concatenate([part.waveforms for part in parts], out=room)


class SharedEngine:
    """An engine of which several threads share the forward passes."""

    def __init__(self, engine: Engine, batcher: Batcher, limit: int) -> None:
        self._engine, self._batcher, self._limit = engine, batcher, limit

    def run(self, output: str, waveforms: np.ndarray) -> np.ndarray:
        """See Engine."""
        return self._batcher.run(self._engine, output, waveforms, self._limit)
