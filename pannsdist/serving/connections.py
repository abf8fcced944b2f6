"""Connections that cannot exhaust the server: uvicorn's protocol with bounds on heads, idleness, writing and number.

uvicorn 0.54 itself waits for ever for the first byte, for the end of a head, for the rest of a body that was refused,
and for a client that does not read; with httptools, a head may also be of any length.
"""

from __future__ import annotations

import asyncio
import http
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pannsdist.serving.failures import Refused
from pannsdist.serving.limits import Limits


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Where there are too many, the one that has waited longest for a request is closed."""

    limits: Limits
    waiting: dict[BoundedProtocol, None]
    """Connections without a request under way, the oldest first."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._is_in_head, self._head_bytes, self._heads = True, 0, 0
        self._is_refused = False
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            if not self.waiting:
                self._refuse(Refused(503, "too_many_connections", "too many connections", "repeat the request later"))
                return
            next(iter(self.waiting)).leave()
        self._wait_for_head()
        self._start(self.limits.head_s, self._head_is_late)

    def leave(self) -> None:
        """Make room for another connection."""
        self.waiting.pop(self, None)
        self.connections.discard(self)
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        super().connection_lost(exc)
        self.waiting.pop(self, None)
        self._stop()
        self.resume_writing()
        self._unset_keepalive_if_required()  # uvicorn leaves it after an error, and with it the connection in memory

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._is_refused:
            return
        was_in_head, heads = self._is_in_head, self._heads
        if was_in_head and self._timer is None:
            self._start(self.limits.head_s, self._head_is_late)
        super().data_received(data)
        if was_in_head and self._heads == heads:  # all of it belongs to a head that is not whole
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.max_head_bytes:
                most = self.limits.max_head_bytes
                self._refuse(Refused(431, "head_too_large", f"the head is longer than {most} bytes"))

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._stop()
        self._is_in_head, self._head_bytes = False, 0
        self._heads += 1
        self.waiting.pop(self, None)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """See httptools. What follows is the head of the next request."""
        super().on_message_complete()
        self._stop()
        self._is_in_head = True
        if self.cycle is None or self.cycle.response_complete:
            self._wait_for_head()

    def on_response_complete(self) -> None:
        """Of uvicorn. The rest of a refused body is read for a moment, so that its client gets the answer."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._start(self.limits.timeout_s, self.transport.abort)
        elif not self._is_in_head:
            self._start(self.limits.linger_s, self.transport.abort)
        elif not self.pipeline:
            self._wait_for_head()

    def timeout_keep_alive_handler(self) -> None:
        """Of uvicorn: an idle connection ends, also one whose client does not read."""
        self.transport.abort() if self.transport.get_write_buffer_size() else self.transport.close()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        super().pause_writing()
        self._writing = self.loop.call_later(self.limits.timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        super().resume_writing()
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def send_400_response(self, msg: str) -> None:
        """Of uvicorn: what is no HTTP."""
        self._refuse(Refused(400, "bad_request", msg))

    def _wait_for_head(self) -> None:
        self.waiting.pop(self, None)
        self.waiting[self] = None

    def _head_is_late(self) -> None:
        self._refuse(Refused(408, "slow_request", f"the head did not arrive within {self.limits.head_s:g} s"))

    def _refuse(self, refused: Refused) -> None:
        """Answer without a request, then read what is still sent for a moment, since closing would lose the answer."""
        if self._is_refused:
            return
        self._is_refused = True
        self.waiting.pop(self, None)
        self.connections.discard(self)
        self._stop()
        if self.cycle is not None and not self.cycle.response_complete:  # its application finds the client gone
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.abort()
        if self.transport.is_closing():
            return
        phrase = http.HTTPStatus(refused.status).phrase
        head = f"HTTP/1.1 {refused.status} {phrase}\r\ncontent-type: application/json\r\nconnection: close\r\n"
        self.transport.write(f"{head}content-length: {len(refused.body)}\r\n\r\n".encode() + refused.body)
        self.transport.write_eof()
        self._start(self.limits.linger_s, self.transport.abort)

    def _start(self, seconds: float, end: Any) -> None:
        self._stop()
        self._timer = self.loop.call_later(seconds, end)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def protocol_of(limits: Limits) -> type[BoundedProtocol]:
    """The class of the connections of one server."""
    return type("Connection", (BoundedProtocol,), {"limits": limits, "waiting": {}})
