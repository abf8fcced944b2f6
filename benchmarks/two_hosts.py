"""Two hosts on one machine: network namespaces of Linux, joined by a cable (`veth`), that share disk and processors."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

INTERFACE = "eth0"
ADDRESSES = ("10.78.0.1", "10.78.0.2")


@dataclass(frozen=True)
class Host:
    """A namespace and its address."""

    namespace: str
    address: str

    def command(self, words: Sequence[str]) -> list[str]:
        """A command, to be run on this host."""
        return ["ip", "netns", "exec", self.namespace, *words]


def missing() -> str:
    """Why there can be no namespaces here; empty if there can."""
    if shutil.which("ip") is None:
        return "no command ip: install iproute2"
    if os.geteuid() != 0:
        return "network namespaces need root"
    return ""


@contextmanager
def two_hosts() -> Iterator[list[Host]]:
    """Both hosts; they are removed at the end. Raises SystemExit with what `ip` says if they cannot be made."""
    names = [f"bench{os.getpid()}-{number}" for number in (1, 2)]
    found = [Host(name, address) for name, address in zip(names, ADDRESSES, strict=True)]
    made = []
    try:
        for host in found:
            _ip("netns", "add", host.namespace)
            made.append(host)
        ends = ("name", INTERFACE, "netns", names[0], "type", "veth", "peer", "name", INTERFACE, "netns", names[1])
        _ip("link", "add", *ends)
        for host in found:
            _ip("-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", INTERFACE)
            for interface in (INTERFACE, "lo"):
                _ip("-n", host.namespace, "link", "set", interface, "up")
        yield found
    finally:
        for host in made:
            _ip("netns", "del", host.namespace)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode:
        raise SystemExit(f"ip {' '.join(words)}: {done.stderr.strip()}")
