"""The name of this node and its addresses, and the rendezvous of the nodes."""

from __future__ import annotations

import errno
import os
import socket

from pannsdist.run.doctor.facts import Master, Network
from pannsdist.run.nodes import master as places


def network(master: places.Master | None = None) -> Network:
    """Name and addresses; with `master`, whether it is this node, and whether its port is free."""
    host = socket.gethostname()
    return Network(host, places.addresses_of(host), None if master is None else _master(master))


def _master(master: places.Master) -> Master:
    found = places.addresses_of(master.host)
    for address in found:
        number = _bind(address, master.port)
        if number != errno.EADDRNOTAVAIL:
            return Master(master.host, master.port, found, True, os.strerror(number) if number else "")
    return Master(master.host, master.port, found)


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
