"""HOST:PORT of the node to which the others connect: how it is written, and where it is."""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from pannsdist.run.nodes.addresses import is_loopback
from pannsdist.runtime.errors import SettingsError, UserError

LOOPBACK_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost")
AGAIN_S = 0.5
LONGEST_NAME = 253
RIGHT = "HOST:PORT: the name or address of one of the nodes, as the others reach it, and a free port there"
SocketAddress = tuple[socket.AddressFamily, tuple[str, int]]
"""Family of a socket, and what it binds or connects to."""


class UnknownName(UserError):
    """A name of a machine that this one does not know, or not yet: a new machine may start before its name is known."""


@dataclass(frozen=True)
class Master:
    """The node to which the others connect: its name or address, and a port of it."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Master:
        """HOST:PORT, or [HOST]:PORT for an address of IPv6. Raises SettingsError."""
        if text.startswith("etcd://"):
            raise SettingsError("--master is etcd://..., but pannsdist counts the nodes itself, without etcd", RIGHT)
        found = re.fullmatch(r"(?:\[([^\[\]]+)\]|([^\s:/\[\]]+)):([0-9]{1,5})", text)
        if not found or not 0 < int(found[3]) < 1 << 16 or (found[1] and ":" not in found[1]):
            raise SettingsError(f"--master is {text!r}", f"{RIGHT}; an address of IPv6 in brackets: [fd00::1]:29400")
        host = found[1] or found[2]
        if fault := fault_of(host):
            raise SettingsError(f"--master is {text!r}, but {host!r} {fault}", RIGHT)
        if host.lower().rstrip(".") in LOOPBACK_NAMES or is_loopback(host):
            raise SettingsError(f"--master is {text!r}, which is another machine on every node", RIGHT)
        return cls(host, int(found[3]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def resolve(self) -> list[SocketAddress]:
        """Where to connect to. Raises UnknownName."""
        try:
            return _resolved(self.host, self.port)
        except OSError as error:
            wrong = f"--master is {self}, but this node knows no address of {self.host!r}: {error.strerror}"
            raise UnknownName(wrong, "give an address, or enter the name into /etc/hosts of every node") from error

    def own(self) -> SocketAddress | None:
        """Where this node listens, if it is the master: at the first address that it has itself. Raises UnknownName.

        Where its own name resolves to the loopback interface, as on Debian, it listens on all interfaces.
        """
        for family, where in self.resolve():
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                try:
                    probe.bind((where[0], 0, *where[2:]))
                except OSError:
                    continue
            return (socket.AF_INET, ("", self.port)) if is_loopback(where[0]) else (family, where)
        return None

    def wait_for_name(self, timeout_s: float, say: Callable[[str], None]) -> float:
        """Return when the name is known, or after `timeout_s`: how many seconds of them are left."""
        end, said = time.monotonic() + timeout_s, False
        while (left_s := end - time.monotonic()) > 0:
            try:
                self.resolve()
            except UnknownName as error:
                if not said:
                    say(f"{error.wrong}; waiting up to {timeout_s:g} s until it does")
                said = True
                time.sleep(min(AGAIN_S, left_s))
                continue
            return left_s if said else timeout_s
        return 0.0


def fault_of(host: str) -> str:
    """Why this can be no name and no address of a machine, whatever is in the DNS; empty if it can."""
    try:
        ipaddress.ip_address(host)
        return ""
    except ValueError:
        if ":" in host:
            return "is no address of IPv6"
    try:
        name = host.encode("idna").decode().rstrip(".")
    except UnicodeError:
        return "is no name of a machine: its parts have 1 to 63 letters"
    if len(name) > LONGEST_NAME or not all(
        re.fullmatch(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", one) for one in name.split(".")
    ):
        return "is no name of a machine: letters, digits and hyphens, with dots between the parts"
    if name.rpartition(".")[2].isdecimal():
        return "is no address of IPv4: four numbers up to 255"
    return ""


def parse_hosts(text: str) -> tuple[str, ...]:
    """A,B: different machines, an address of IPv6 with or without brackets. Raises SettingsError."""
    found = tuple(re.sub(r"^\[(.*:.*)\]$", r"\1", name) for name in text.split(",")) if text else ()
    for name in found:
        if fault := fault_of(name):
            raise SettingsError(f"--hosts names {name!r}, which {fault}", "names or addresses, such as gpu1,gpu2")
    if twice := next((name for name in found if found.count(name) > 1), None):
        raise SettingsError(f"--hosts names {twice} twice", "name each node once")
    return found


def addresses_of(name: str) -> tuple[str, ...]:
    """The addresses of a machine; none where this one does not know the name."""
    try:
        return tuple(dict.fromkeys(where[0] for _, where in _resolved(name)))
    except OSError:
        return ()


def _resolved(name: str, port: int | None = None) -> list[SocketAddress]:
    """All addresses of a name, as the system's resolver gives them. Raises OSError."""
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a host name of the system may be anything
        raise OSError(0, str(error)) from error
    return [(family, where[:2] if family == socket.AF_INET else where) for family, _, _, _, where in found]  # type: ignore[misc]


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
