"""A connection between two supervisors: lines of JSON, bounded in length, and the time of the last one."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

from pannsdist.runtime.messages import BadMessage, Inbox, packed

LONGEST_LINE = 1 << 16
ALIVE_S = 1.0
"""Each side sends a line at least so often."""
LOST_S = 20.0
"""A side that was silent for so long is lost. A link that was down for 5 s is used again by TCP within 13 s."""
ALIVE = {"type": "alive"}

Message = dict[str, Any]


class LinkLost(Exception):
    """The other side closed the connection, fell silent, or sent what is no message."""


class Link:
    """One connected socket, never waited for. Everything that arrives is data: nothing of it is executed."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket, self._in, self._out = connected, Inbox(LONGEST_LINE), bytearray()
        self.arrived_at = self._sent_at = time.monotonic()
        self.has_received = False

    @property
    def own_address(self) -> str:
        """The address of this side."""
        return str(self._socket.getsockname()[0])

    @property
    def peer_address(self) -> str:
        """The address of the other side; empty where it has left."""
        try:
            return str(self._socket.getpeername()[0])
        except OSError:
            return ""

    @property
    def silent_s(self) -> float:
        """For how long nothing has arrived."""
        return time.monotonic() - self.arrived_at

    def send(self, message: Message) -> None:
        """Send a message as soon as the connection takes it. Raises LinkLost."""
        self._out += packed(message)
        self._sent_at = time.monotonic()
        if len(self._out) > 16 * LONGEST_LINE:
            raise LinkLost("it does not read what it is sent")
        self._flush()

    def turn(self) -> list[Message]:
        """What has arrived since, and keep the connection alive. Raises LinkLost."""
        now = time.monotonic()
        if now - self._sent_at >= ALIVE_S:
            self.send(ALIVE)
        self._flush()
        self._read()
        messages = list(self._messages())
        if self.silent_s > LOST_S:
            raise LinkLost(f"nothing arrived from it for {LOST_S:.0f} s")
        return [message for message in messages if message != ALIVE]

    def close(self) -> None:
        """Close the connection, after what was sent."""
        self._socket.close()

    def _messages(self) -> Iterator[Message]:
        try:
            while (message := self._in.next()) is not None:
                if not isinstance(message, dict) or not isinstance(message.get("type"), str):
                    raise BadMessage("a message without a type")
                yield message
        except BadMessage as error:
            raise LinkLost(f"it sent something else than pannsdist does: {error}") from error

    def _flush(self) -> None:
        try:
            while self._out:
                del self._out[: self._socket.send(self._out)]
        except BlockingIOError:
            return
        except OSError as error:
            raise LinkLost(f"the connection was lost: {error.strerror}") from error

    def _read(self) -> None:
        """At most a few lines at once, so that one that sends without end does not keep the others waiting."""
        try:
            received = self._socket.recv(4 * LONGEST_LINE)
        except BlockingIOError:
            return
        except OSError as error:
            raise LinkLost(f"the connection was lost: {error.strerror}") from error
        if not received:
            raise LinkLost("the connection was closed")
        self.arrived_at, self.has_received = time.monotonic(), True
        self._in.add(received)
