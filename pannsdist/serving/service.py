"""One process that answers: its models, the threads in which requests are computed, and who may come in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from pannsdist.audio.encoded import PassingSound
from pannsdist.audio.reader import duration_s
from pannsdist.runtime.errors import BadClip, UserError
from pannsdist.serving.answers import Answering
from pannsdist.serving.batching import Abandoned, Batcher, Work
from pannsdist.serving.bodies import Asked, Received, asked
from pannsdist.serving.failures import Refused, of_user_error, too_large
from pannsdist.serving.limits import Limits
from pannsdist.serving.metrics import Metrics
from pannsdist.serving.models import Served
from pannsdist.serving.parameters import Parameters, parsed

Computing = Callable[[Received, Work], bytes]


class Slot:
    """A place in the queue: it is free again once its request is answered and its thread has ended."""

    def __init__(self, move: Callable[[int, int], None]) -> None:
        self._move, self._users, self._bytes = move, 0, 0

    def enter(self) -> None:
        """Use it."""
        self._users += 1
        if self._users == 1:
            self._move(1, 0)

    def hold(self, count: int) -> None:
        """Note bytes that are in memory for the request."""
        self._bytes += count
        self._move(0, count)

    def leave(self) -> None:
        """Use it no more."""
        self._users -= 1
        if self._users == 0:
            self._move(-1, -self._bytes)


class Service:
    """Answers requests within limits, in threads that share the forward passes of the models."""

    def __init__(self, served: Served, limits: Limits, batcher: Batcher, metrics: Metrics, threads: int) -> None:
        self.served, self.limits, self.metrics = served, limits, metrics
        self._batcher = batcher
        self._pool = ThreadPoolExecutor(threads, "request")
        self.pending = 0
        """Requests that are received or computed, also those that nobody waits for any more."""
        self._held_bytes = 0
        self.is_stopping = False

    @contextmanager
    def admitted(self) -> Iterator[Slot]:
        """Context of a request. Raises Refused, 429, where the queue is full."""
        if self.pending >= self.limits.max_queue:
            raise _busy("queue_full", f"{self.limits.max_queue} requests are waiting already")
        slot = Slot(self._move)
        slot.enter()
        try:
            yield slot
        finally:
            slot.leave()

    async def received(self, slot: Slot, content_length: str, chunks: AsyncIterator[bytes]) -> bytes:
        """The body of a request. Raises Refused: 413 before or while it is read, 408 where it takes too long."""
        if content_length.isdecimal() and int(content_length) > self.limits.max_body_bytes:
            raise too_large(self.limits.max_body_mb)
        try:
            return await asyncio.wait_for(self._collected(slot, chunks), self.limits.timeout_s)
        except asyncio.TimeoutError as error:
            wrong = f"the body did not arrive within {self.limits.timeout_s:g} s"
            raise Refused(408, "slow_request", wrong, "send it faster, or less of it") from error

    async def _collected(self, slot: Slot, chunks: AsyncIterator[bytes]) -> bytes:
        body = bytearray()
        async for chunk in chunks:
            slot.hold(len(chunk))
            if len(body) + len(chunk) > self.limits.max_body_bytes:
                raise too_large(self.limits.max_body_mb)
            if self._held_bytes > self.limits.max_held_bytes:
                raise _busy("bodies_full", "the bodies of other requests fill the memory for them")
            body += chunk
        return bytes(body)

    async def computed(
        self, slot: Slot, received: Received, compute: Computing, gone: Callable[[], Awaitable[None]]
    ) -> bytes:
        """What `compute` gives in a thread. Raises Refused: 504 after the time limit, 499 where `gone` ends before."""
        work = Work()
        slot.enter()
        future = asyncio.get_running_loop().run_in_executor(self._pool, self._in_thread, compute, received, work)
        future.add_done_callback(lambda done: (slot.leave(), done.cancelled() or done.exception()))
        leaving = asyncio.ensure_future(gone())
        try:
            await asyncio.wait({future, leaving}, timeout=self.limits.timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if future.done():
                return future.result()
            if leaving.done():
                raise Refused(499, "client_left", "the client closed the connection")
            raise Refused(504, "time_limit", f"no answer within {self.limits.timeout_s:g} s", "send less sound")
        finally:
            work.is_abandoned = not future.done()
            leaving.cancel()

    def _in_thread(self, compute: Computing, received: Received, work: Work) -> bytes:
        try:
            with self._batcher.working(work):
                work.check()
                return compute(received, work)
        except BadClip as error:
            raise of_user_error(error, "bad_sound") from error
        except UserError as error:
            if work.is_abandoned:
                raise Abandoned("the request was abandoned") from error
            raise of_user_error(error, "refused") from error

    def answering(self, kind: type[Parameters], answer: Answering) -> Computing:
        """The computation of a route: parameters of a kind, and what a model answers."""

        def compute(received: Received, work: Work) -> bytes:
            request = asked(received, work.check)
            chosen = parsed(kind, request.parameters)
            name, model = self.served.find(chosen.model)
            self._measure(request, chosen)
            results = answer(model, request.sounds, chosen)
            return json.dumps({"model": name, "results": results}, ensure_ascii=False, allow_nan=False).encode()

        return compute

    def _measure(self, request: Asked, chosen: Parameters) -> None:
        """Count the seconds of the sounds. Raises Refused, 413, where they are too long together, and BadClip."""
        if len(request.sounds) > self.limits.max_sounds:
            raise Refused(413, "too_many_sounds", f"the request has more than {self.limits.max_sounds} sounds")
        seconds = sum(_seconds(sound, chosen.on_bad) for sound in request.sounds)
        if seconds > self.limits.max_length_s:
            wrong = f"the sounds are {seconds:.1f} s long; at most {self.limits.max_length_s:g} s are taken"
            raise Refused(413, "sound_too_long", wrong, "send them in parts")
        self.metrics.sound_seconds.inc(seconds)

    def _move(self, requests: int, size: int) -> None:
        self.pending += requests
        self._held_bytes += size
        self.metrics.pending.set(self.pending)


def _seconds(sound: PassingSound, on_bad: str) -> float:
    try:
        return duration_s(sound)
    except BadClip:
        if on_bad == "stop":
            raise
        return 0.0


def _busy(code: str, message: str) -> Refused:
    return Refused(429, code, message, "repeat the request later", {"Retry-After": "1"})
