"""Machines for tests: network namespaces of Linux, joined by a bridge, that share the file system."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import launching

TRAIN_SCRIPT = str(launching.TRAIN)
SUBNET, SUBNET_6 = "10.77.0", "fd77:"
MASTER_NAME = "node-one"
"""The name of the first machine, which it resolves to its loopback interface itself, as on Debian."""
FILES = Path("/etc/netns")
"""`ip netns exec` puts the files of a folder with the namespace's name here in place of those of /etc."""
HAS_IPV6 = Path("/proc/net/if_inet6").exists()
LIMIT_S = 400.0
"""Against hanging alone."""


def missing() -> str:
    """Why there can be no namespaces here; empty if there can."""
    if shutil.which("ip") is None:
        return "no command ip: install iproute2"
    if os.geteuid() != 0:
        return "network namespaces need root"
    made = subprocess.run(
        ["ip", "netns", "add", probe := f"probe{os.getpid()}"], capture_output=True, text=True, check=False
    )
    if made.returncode:
        return f"no network namespaces here: {made.stderr.strip()}"
    ip("netns", "del", probe)
    return ""


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


@dataclass(eq=False)
class Host:
    """One machine."""

    namespace: str
    address: str
    cable: str
    started: list[Command] = field(default_factory=list)

    def start(self, *arguments: object, cwd: Path, env: Mapping[str, str] | None = None) -> Command:
        """Start `pannsdist` here."""
        output = cwd.parent / f"{self.namespace}.{len(self.started)}"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("PADDLE_")}
        with output.open("wb") as file:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, sys.executable, "-m", "pannsdist", *map(str, arguments)],
                cwd=cwd,
                env={**inherited, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(Command(self, process, output, cwd, arguments))
        return self.started[-1]

    @property
    def address_6(self) -> str:
        """Its address of IPv6."""
        return f"{SUBNET_6}:{self.address.rpartition('.')[2]}"

    @property
    def processes(self) -> list[int]:
        """All processes of this machine."""
        return [int(number) for number in ip("netns", "pids", self.namespace).split()]

    @property
    def ranks(self) -> list[int]:
        """Those that train."""
        return [number for number in self.processes if _command_line(number)[2:3] == [TRAIN_SCRIPT]]

    @property
    def launchers(self) -> list[int]:
        """Paddle's."""
        return [number for number in self.processes if "paddle.distributed.launch" in _command_line(number)]

    def kill(self) -> None:
        """Kill every process of this machine at once, as if it lost power; its connections are closed."""
        while numbers := self.processes:
            for number in numbers:
                try:
                    os.kill(number, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.02)
        for command in self.started:
            command.process.wait()

    def send(self, number: int) -> None:
        """Send a signal, such as SIGSTOP, to every process of this machine."""
        for process in self.processes:
            os.kill(process, number)

    def plug(self, is_in: bool) -> None:
        """Plug the network cable in, or pull it."""
        ip("link", "set", self.cable, "up" if is_in else "down")


@dataclass(eq=False)
class Command:
    """A command of a host, and what it prints."""

    host: Host
    process: subprocess.Popen
    file: Path
    cwd: Path
    arguments: tuple[object, ...]

    @property
    def output(self) -> str:
        return self.file.read_text(errors="replace")

    def wait(self) -> int:
        """Wait for the end; its exit code."""
        try:
            return self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.host.namespace} has not ended\n{self.output}") from None

    def wait_for(self, pattern: str) -> None:
        """Return when it has printed something."""
        limit = time.monotonic() + LIMIT_S
        while not re.search(pattern, self.output, re.MULTILINE):
            assert self.process.poll() is None, f"it ended without {pattern!r}\n{self.output}"
            assert time.monotonic() < limit, f"no {pattern!r}\n{self.output}"
            time.sleep(0.05)


@contextmanager
def hosts(count: int, subnet: str = SUBNET) -> Iterator[list[Host]]:
    """So many machines, `SUBNET.1` and so on, with all their processes gone at the end."""
    name = f"pt{os.getpid() % 100000}"
    found = [Host(f"{name}n{number}", f"{subnet}.{number}", f"{name}v{number}") for number in range(1, count + 1)]
    ip("link", "add", f"{name}b", "type", "bridge")
    try:
        ip("link", "set", f"{name}b", "up")
        for host in found:
            ip("netns", "add", host.namespace)
            ip("link", "add", host.cable, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
            ip("link", "set", host.cable, "master", f"{name}b", "up")
            ip("-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", "eth0")
            for interface in ("eth0", "lo"):
                ip("-n", host.namespace, "link", "set", interface, "up")
            if HAS_IPV6:
                ip("-n", host.namespace, "addr", "add", f"{host.address_6}/64", "dev", "eth0", "nodad")
            (FILES / host.namespace).mkdir(parents=True)
            master = "127.0.1.1" if host is found[0] else found[0].address
            (FILES / host.namespace / "hosts").write_text(f"127.0.0.1 localhost\n{master} {MASTER_NAME}\n")
        yield found
    finally:
        made = ip("netns", "list")
        for host in found:
            shutil.rmtree(FILES / host.namespace, ignore_errors=True)
        for host in found:
            if host.namespace in made:
                host.kill()
                ip("netns", "del", host.namespace)
        ip("link", "del", f"{name}b")


def _command_line(number: int) -> list[str]:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def rank_of(number: int) -> int:
    """The rank of a training process."""
    variables = Path(f"/proc/{number}/environ").read_bytes().decode(errors="replace").split("\0")
    return next(int(one.partition("=")[2]) for one in variables if one.startswith("PADDLE_TRAINER_ID="))
