"""Addresses of machines: HOST:PORT of the master, and the network interfaces of this machine."""

from __future__ import annotations

import ctypes
import ipaddress
import random
import re
import socket
from dataclasses import dataclass

from pannsdist.runtime.errors import SettingsError, UserError

PORTS = (20000, 30000)
"""Below the ports that Linux gives to outgoing connections, which could take one before it is bound."""
LOOPBACK_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost")
SocketAddress = tuple[socket.AddressFamily, tuple[str, int]]
"""Family of a socket, and what it binds or connects to."""


@dataclass(frozen=True)
class Master:
    """The node to which the others connect: its name or address, and a port of it."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Master:
        """HOST:PORT, or [HOST]:PORT for an address of IPv6. Raises SettingsError."""
        right = "HOST:PORT: the name or address of one of the nodes, as the others reach it, and a free port there"
        if text.startswith("etcd://"):
            wrong = "--master is etcd://..., but pannsdist train counts the nodes itself, without etcd"
            raise SettingsError(wrong, right)
        found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([^\s:/\[\]]+)):(\d{1,5})", text, re.ASCII)
        if not found or not 0 < int(found[3]) < 1 << 16:
            raise SettingsError(f"--master is {text!r}", f"{right}; an address of IPv6 in brackets: [fd00::1]:29400")
        host = found[1] or found[2]
        if host in LOOPBACK_NAMES or _is_loopback(host):
            raise SettingsError(f"--master is {text!r}, which is another machine on every node", right)
        return cls(host, int(found[3]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def resolve(self) -> list[SocketAddress]:
        """Where to connect to. Raises UserError where the name is not known."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            wrong = f"--master is {self}, but this node knows no address of {self.host!r}: {reason}"
            raise UserError(wrong, "give an address, or enter the name into /etc/hosts of every node") from error
        return [(family, where[:2] if family == socket.AF_INET else where) for family, _, _, _, where in found]  # type: ignore[misc]

    def own(self) -> SocketAddress | None:
        """Where this node listens, if it is the master: at the first address that it has itself.

        Where its own name resolves to the loopback interface, as on Debian, it listens on all interfaces.
        """
        for family, where in self.resolve():
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                try:
                    probe.bind((where[0], 0, *where[2:]))
                except OSError:
                    continue
            return (socket.AF_INET, ("", self.port)) if _is_loopback(where[0]) else (family, where)
        return None


def addresses_of(name: str) -> tuple[str, ...]:
    """The addresses of a machine; none where this one does not know the name."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(where[0]) for *_, where in found))


def listen(master: Master, where: SocketAddress) -> socket.socket:
    """The socket at which the master waits for the nodes. Raises UserError where the port is taken."""
    family, address = where
    accepting = socket.socket(family, socket.SOCK_STREAM)
    accepting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        accepting.bind(address)
        accepting.listen(128)
    except OSError as error:
        accepting.close()
        wrong = f"--master is {master}, but port {master.port} of this node cannot be used: {error.strerror}"
        right = "another program has it, or this command was started twice here; choose another port, on every node"
        raise UserError(wrong, right) from error
    accepting.setblocking(False)
    return accepting


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


def _is_loopback(host: str) -> bool:
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
