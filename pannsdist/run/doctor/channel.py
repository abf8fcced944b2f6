"""Messages between the doctors of several nodes: over TCP, within deadlines."""

from __future__ import annotations

import socket
import time
from typing import Any

from pannsdist.runtime.messages import BadMessage, Inbox, packed

MAX_BYTES = 4 << 20
BLOCK = 1 << 16


class Deadline:
    """A moment by which something must have happened."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds until then; a little more than 0 at the least, so that it can be the timeout of a socket."""
        return max(0.01, self._end - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether it has passed."""
        return time.monotonic() >= self._end


class Channel:
    """A connection on which JSON objects come and go. Closes with its block."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._inbox = Inbox(MAX_BYTES)

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self.connection.close()

    def send(self, content: dict[str, Any], deadline: Deadline) -> None:
        """Send an object. Raises OSError."""
        self.connection.settimeout(deadline.left_s)
        self.connection.sendall(packed(content))

    def receive(self, deadline: Deadline) -> dict[str, Any]:
        """The next object. Raises OSError (TimeoutError after the deadline), BadMessage for anything else."""
        while (content := self._inbox.next()) is None:
            if deadline.is_over:
                raise TimeoutError("timed out")
            self.connection.settimeout(deadline.left_s)
            block = self.connection.recv(BLOCK)
            if not block:
                raise ConnectionResetError("the other side has closed the connection")
            self._inbox.add(block)
        if not isinstance(content, dict):
            raise BadMessage("a message that is no object")
        return content
