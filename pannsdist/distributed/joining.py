"""Joins the processes that Paddle's launcher has started, through fleet."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import paddle.distributed as dist
from paddle.base import core
from paddle.distributed import collective

from pannsdist.runtime import launcher

PORT_ATTEMPTS = 5
AWAIT_S = 60.0
"""After that Paddle tries by itself, and says what is wrong."""


def join(device: str) -> tuple[Any, list[Any]]:
    """Join the other processes; returns fleet and stores to be kept open, the first of them the one of all processes.

    All processes must call this.
    """
    _await_store()
    stores: list[Any] = []
    with _own_store_for_each_group(stores) if device == "cpu" else nullcontext():
        dist.fleet.init(is_collective=True, log_level="WARNING")
    return dist.fleet, [core.create_or_get_global_tcp_store(), *stores]


def _await_store() -> None:
    """Wait until rank 0 listens, for a while: Paddle itself tries again only after 3 s (3.3.1)."""
    if launcher.rank() == 0:
        return
    until = time.monotonic() + AWAIT_S
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection((launcher.master_host(), launcher.master_port()), AWAIT_S):
            return
        time.sleep(0.05)


@contextmanager
def _own_store_for_each_group(stores: list[Any]) -> Iterator[None]:
    """Give each gloo group that fleet creates after the one of all processes its own store, added to `stores`.

    Paddle connects every gloo group twice. The second time the addresses stand in the store as `/RANK`, the same keys
    for all groups (Paddle 2.6.2 and 3.3.1), so that a process which is early reads the address of an earlier group and
    is refused, or waits. With one store for all groups about every second start of four processes failed.
    """
    create = collective._new_process_group_impl

    def create_with_own_store(backend: str, store: Any, rank: int, size: int, name: str, **options: Any) -> Any:
        stores.append(_new_store(store, name))
        return create(backend, stores[-1], rank, size, name, **options)

    collective._new_process_group_impl = create_with_own_store
    try:
        yield
    finally:
        collective._new_process_group_impl = create


def _new_store(store: Any, name: str) -> Any:
    """A store that rank 0 hosts at a free port, which the others read from the store of all processes."""
    host = dist.ParallelEnv().trainer_endpoints[0].rpartition(":")[0]
    key = f"store of {name}"
    if dist.get_rank() > 0:
        return core.TCPStore(host, int(store.get(key)), False, 0)
    for attempt in range(PORT_ATTEMPTS):
        port = _free_port()
        try:
            own = core.TCPStore(host, port, True, 0)
        except (RuntimeError, ValueError):
            if attempt == PORT_ATTEMPTS - 1:
                raise
        else:
            break
    store.set(key, str(port))
    return own


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])
