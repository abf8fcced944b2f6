"""The name of this node and its addresses, and the rendezvous of the nodes."""

from __future__ import annotations

import errno
import os
import socket

from pannsdist.run.doctor.facts import Master, Network


def network(master: tuple[str, int] | None = None) -> Network:
    """Name and addresses; with `master`, whether it is this node, and whether its port is free."""
    host = socket.gethostname()
    return Network(host, addresses(host), None if master is None else _master(*master))


def addresses(host: str) -> tuple[str, ...]:
    """What a name resolves to; empty if to nothing."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(one[4][0]) for one in found))


def _master(host: str, port: int) -> Master:
    found = addresses(host)
    for address in found:
        number = _bind(address, port)
        if number != errno.EADDRNOTAVAIL:
            return Master(host, port, found, True, os.strerror(number) if number else "")
    return Master(host, port, found)


def _bind(address: str, port: int) -> int:
    """0 if this process can listen there, else the number of the error; EADDRNOTAVAIL for another machine's address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # not in use: what waits out its end
            listening.bind((address, port))
            listening.listen()
    except OSError as error:
        return error.errno or errno.EIO
    return 0
