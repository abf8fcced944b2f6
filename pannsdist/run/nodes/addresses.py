"""The network interfaces of this machine, and free ports at their addresses."""

from __future__ import annotations

import ctypes
import ipaddress
import random
import socket

from pannsdist.runtime.errors import UserError

PORTS = (20000, 30000)
"""Below the ports that Linux gives to outgoing connections, which could take one before it is bound."""


def interfaces() -> list[tuple[str, str]]:
    """Interface and address of every address of this machine, of both families; empty where libc does not list them."""
    first = ctypes.POINTER(_Entry)()
    try:
        libc = ctypes.CDLL(None)
        if libc.getifaddrs(ctypes.byref(first)):
            return []
    except (AttributeError, OSError):
        return []
    found, entry = [], first
    while entry:
        address = _address(entry.contents.address)
        if address:
            found.append((entry.contents.name.decode(errors="replace"), address))
        entry = entry.contents.next
    libc.freeifaddrs(first)
    return found


def interface_of(address: str) -> str:
    """The interface that has an address of this machine. Raises UserError."""
    for name, own in interfaces():
        if own == _plain(address):
            return name
    raise UserError(f"no network interface of this machine has the address {address}", "see: ip addr")


def ipv4_of(address: str) -> str:
    """The address itself if it is one of IPv4, else one of IPv4 on its interface. Raises UserError.

    Paddle's launcher (3.3.1) writes ADDRESS:PORT and splits it at the first colon.
    """
    plain = _plain(address)
    if ":" not in plain:
        return plain
    name = interface_of(plain)
    own = next((one for interface, one in interfaces() if interface == name and ":" not in one), None)
    if own is None:
        wrong = f"interface {name}, which has {plain}, has no address of IPv4"
        raise UserError(wrong, "the nodes may connect over IPv6, but Paddle's launcher joins processes over IPv4 alone")
    return own


def free_port(address: str) -> int:
    """A port that is free at an address of this machine, below those that the system gives to outgoing connections."""
    for port in random.sample(range(*PORTS), 200):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                continue
        return port
    raise UserError(f"no free port from {PORTS[0]} to {PORTS[1]} at {address}", "see: ss -lnt")


def _plain(address: str) -> str:
    """Without the zone of IPv6; an address of IPv4 that is written as one of IPv6 is IPv4 again."""
    return address.partition("%")[0].removeprefix("::ffff:")


def is_loopback(host: str) -> bool:
    """Whether this is an address of the machine itself alone, such as 127.0.0.1; a name is none."""
    try:
        return ipaddress.ip_address(_plain(host)).is_loopback
    except ValueError:
        return False


class _Entry(ctypes.Structure):
    """The start of `struct ifaddrs` of getifaddrs(3)."""


_Entry._fields_ = [
    ("next", ctypes.POINTER(_Entry)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.c_void_p),
]


def _address(pointer: int | None) -> str:
    """The text of a `struct sockaddr`; empty for other families than IPv4 and IPv6."""
    if not pointer:
        return ""
    family = ctypes.c_ushort.from_address(pointer).value
    if family == socket.AF_INET:
        return socket.inet_ntop(family, ctypes.string_at(pointer + 4, 4))
    if family == socket.AF_INET6:
        return socket.inet_ntop(family, ctypes.string_at(pointer + 8, 16))
    return ""
