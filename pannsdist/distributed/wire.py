"""Messages between the processes of a run: over TCP, with time limits.

Paddle's own store is not used for them: each of its operations takes 44 ms (3.3.1), and none has a time limit.
"""

from __future__ import annotations

import select
import socket
from typing import Any

from pannsdist.runtime.messages import Inbox, packed

MAX_BYTES = 1 << 20
"""A longer message is refused: whoever sent it is no process of a run."""
SEND_LIMIT_S = 30.0


class Connection:
    """One end of a TCP connection. One thread alone may use it."""

    def __init__(self, end: socket.socket) -> None:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.settimeout(SEND_LIMIT_S)
        self._socket, self._inbox = end, Inbox(MAX_BYTES)
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)

    def fileno(self) -> int:
        """The number of the file, for a selector."""
        return self._socket.fileno()

    @property
    def is_closed(self) -> bool:
        """Whether this end was closed."""
        return self.fileno() < 0

    def send(self, message: Any) -> None:
        """Send a message. Raises OSError if the other end is gone."""
        self._socket.sendall(packed(message))

    def receive(self, timeout_s: float) -> Any:
        """The next message; None if it does not arrive in time. Raises OSError, ValueError for what is no message."""
        while (message := self.taken()) is None and self._poll.poll(1000 * timeout_s):
            self.read()
        return message

    def read(self) -> None:
        """Read what has arrived, of which there must be some. Raises ConnectionError at the end of the connection."""
        content = self._socket.recv(1 << 16)
        if not content:
            raise ConnectionResetError("the connection was closed")
        self._inbox.add(content)

    def taken(self) -> Any:
        """The next message of those that were read; None if it is not complete. Raises ValueError."""
        return self._inbox.next()

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def connected(host: str, port: int, timeout_s: float) -> Connection:
    """Connect to a process that listens. Raises OSError."""
    return Connection(socket.create_connection((host, port), timeout_s))


def listening(everywhere: bool) -> socket.socket:
    """A socket that listens on a free port: of this machine's loopback address, or of all addresses."""
    if not everywhere:
        return socket.create_server(("127.0.0.1", 0), backlog=1024)
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
    return socket.create_server(("", 0), backlog=1024)
