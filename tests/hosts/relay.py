"""A slow and lossy network between machines: each gets a TUN device, and one process passes the packets on.

It is what `tc netem` does, for kernels that have no netem. Run by path it is that process; arguments: the seconds by
which each packet is late, the part of them that is lost, a seed, and NAMESPACE=ADDRESS of each machine.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import random
import selectors
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from network import Host, ip

SUBNET, DEVICE = "10.78.0", "tun0"
TUN = Path("/dev/net/tun")
SET_INTERFACE, IS_TUN, WITHOUT_HEADER = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h
CLONE_NEWNET = 0x40000000
LONGEST_PACKET = 1 << 16
DESTINATION = slice(16, 20)
"""Where a packet of IPv4 has the address that it goes to."""


@dataclass(frozen=True)
class Weather:
    """By how much each packet is late, and how many of 1 are lost."""

    delay_s: float
    loss: float
    seed: int


def missing() -> str:
    """Why there can be no such network here; empty if there can."""
    return "" if TUN.exists() else f"no {TUN}"


@contextmanager
def relayed(hosts: Sequence[Host], weather: Weather) -> Iterator[list[Host]]:
    """Context in which machines have a second, bad network; gives them with their addresses there."""
    found = [replace(host, address=f"{SUBNET}.{number}") for number, host in enumerate(hosts, 1)]
    places = [f"{host.namespace}={host.address}" for host in found]
    options = map(str, (weather.delay_s, weather.loss, weather.seed))
    command = [sys.executable, __file__, *options, *places]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            yield found
        finally:
            process.kill()  # its devices go with it


def _device(namespace: str, address: str) -> int:
    """A new network device of a namespace; what is sent through it can be read from the file."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/self/ns/net").open() as own, Path("/run/netns", namespace).open() as other:
        if libc.setns(other.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter the namespace {namespace}")
        try:
            handle = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(handle, SET_INTERFACE, struct.pack("16sH22x", DEVICE.encode(), IS_TUN | WITHOUT_HEADER))
        finally:
            libc.setns(own.fileno(), CLONE_NEWNET)
    ip("-n", namespace, "addr", "add", f"{address}/24", "dev", DEVICE)
    ip("-n", namespace, "link", "set", DEVICE, "up")
    return handle


def _relay(devices: Mapping[bytes, int], weather: Weather) -> None:
    """Pass packets on, without end. All are late by the same, so they stay in order."""
    dice, under_way = random.Random(weather.seed), deque[tuple[float, int, bytes]]()
    selector = selectors.DefaultSelector()
    for device in devices.values():
        selector.register(device, selectors.EVENT_READ)
    while True:
        timeout_s = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        for key, _ in selector.select(timeout_s):
            packet = os.read(key.fd, LONGEST_PACKET)
            target = devices.get(packet[DESTINATION]) if packet[0] >> 4 == 4 else None
            if target is not None and dice.random() >= weather.loss:
                under_way.append((time.monotonic() + weather.delay_s, target, packet))
        while under_way and under_way[0][0] <= time.monotonic():
            _, target, packet = under_way.popleft()
            os.write(target, packet)


def _main(delay_s: str, loss: str, seed: str, *places: str) -> None:
    split = [place.split("=") for place in places]
    devices = {socket.inet_aton(address): _device(namespace, address) for namespace, address in split}
    print("ready", flush=True)
    _relay(devices, Weather(float(delay_s), float(loss), int(seed)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
