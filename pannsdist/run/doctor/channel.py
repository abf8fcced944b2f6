"""Messages between the doctors of several nodes: JSON lines over TCP, of bounded size, within deadlines."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from pannsdist.runtime.foreign import parse_json

MAX_BYTES = 4 << 20
BLOCK = 1 << 16


class BadMessage(Exception):
    """What came over a connection is no message of a doctor."""


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
        self._rest = b""

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
        self.connection.sendall(json.dumps(content).encode() + b"\n")

    def receive(self, deadline: Deadline) -> dict[str, Any]:
        """The next object. Raises OSError (TimeoutError after the deadline), BadMessage for anything else."""
        while b"\n" not in self._rest:
            if len(self._rest) > MAX_BYTES:
                raise BadMessage(f"a message of more than {MAX_BYTES:,} bytes")
            if deadline.is_over:
                raise TimeoutError("timed out")
            self.connection.settimeout(deadline.left_s)
            block = self.connection.recv(BLOCK)
            if not block:
                raise ConnectionResetError("the other side has closed the connection")
            self._rest += block
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            content = parse_json(line, "a message", MAX_BYTES)
        except ValueError as error:
            raise BadMessage(str(error)) from error
        if not isinstance(content, dict):
            raise BadMessage("a message that is no object")
        return content
