"""Messages between processes over a stream such as a TCP connection: JSON, one to a line, of bounded length.

What arrives is data: nothing of it is executed, and a sender of something else is refused within bounds.
"""

from __future__ import annotations

import json
from typing import Any

from pannsdist.runtime.foreign import parse_json


class BadMessage(ValueError):
    """What came over a connection is no message."""


def packed(message: Any) -> bytes:
    """A message as it is sent."""
    return json.dumps(message).encode() + b"\n"


class Inbox:
    """Takes what arrives, in pieces of any size, and gives whole messages of at most `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._buffer, self._searched = max_bytes, bytearray(), 0

    def add(self, received: bytes) -> None:
        """Take what has arrived."""
        self._buffer += received

    def next(self) -> Any:
        """The next message; None if none is complete. Raises BadMessage."""
        end = self._buffer.find(b"\n", self._searched)
        if (len(self._buffer) if end < 0 else end) > self._max_bytes:
            raise BadMessage(f"a message of more than {self._max_bytes:,} bytes")
        if end < 0:
            self._searched = len(self._buffer)
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        try:
            message = parse_json(line, "a message", self._max_bytes)
        except ValueError as error:
            raise BadMessage(str(error)) from error
        if message is None:
            raise BadMessage("a message without content")
        return message
