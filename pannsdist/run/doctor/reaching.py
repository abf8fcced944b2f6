"""Whether nodes reach each other: each listens on a free port, and connects to the ports of the others."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pannsdist.run.doctor.channel import Deadline
from pannsdist.run.doctor.comparing import Link

CONNECT_S = 5.0
PINGS, SENT_BYTES = 5, 8 << 20
HELLO = b"pannsdist-doctor"


@contextmanager
def echoing(address: str, port: int = 0) -> Iterator[int]:
    """Answer other doctors on a port of this address, by default a free one, within the block; gives the port."""
    with socket.create_server((address, port), family=family(address)) as server:
        threading.Thread(target=_answer, args=(server,), daemon=True).start()
        yield int(server.getsockname()[1])


def family(address: str) -> socket.AddressFamily:
    """IPv6 or IPv4."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _answer(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return  # closed at the end of the block
        with connection:
            connection.settimeout(CONNECT_S)
            _echo(connection)


def _echo(connection: socket.socket) -> None:
    """Return each hello, then take in the data to its end, and say so."""
    try:
        for _ in range(PINGS):
            connection.sendall(received(connection, len(HELLO)))
        received(connection, SENT_BYTES)
        connection.sendall(HELLO)
    except OSError:
        return  # the other side sees it too, and reports it


def received(connection: socket.socket, count: int) -> bytes:
    """So many bytes. Raises OSError."""
    found = bytearray()
    while len(found) < count:
        block = connection.recv(min(1 << 18, count - len(found)))
        if not block:
            raise ConnectionResetError("closed by the other side")
        found += block
    return bytes(found)


def reach(number: int, address: str, port: int) -> Link:
    """Connect to the node `number`, and measure the connection."""
    try:
        with socket.create_connection((address, port), CONNECT_S) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            times = [_ping(connection) for _ in range(PINGS)]
            start = time.perf_counter()
            connection.sendall(bytes(SENT_BYTES))
            received(connection, len(HELLO))
            speed = SENT_BYTES / (1 << 20) / (time.perf_counter() - start)
    except OSError as error:
        return Link(number, f"{address} port {port}: {error.strerror or error}")
    return Link(number, "", round(1e3 * min(times), 3), round(speed, 1))


def _ping(connection: socket.socket) -> float:
    start = time.perf_counter()
    connection.sendall(HELLO)
    if received(connection, len(HELLO)) != HELLO:
        raise ConnectionAbortedError("something else answers")
    return time.perf_counter() - start


def reach_all(places: Sequence[tuple[str, int]], own: int) -> tuple[Link, ...]:
    """Connect to every other node, within a deadline for all."""
    deadline = Deadline(CONNECT_S * 4)
    found = []
    for number, (address, port) in enumerate(places):
        if number != own:
            found.append(Link(number, "not tried in time") if deadline.is_over else reach(number, address, port))
    return tuple(found)
