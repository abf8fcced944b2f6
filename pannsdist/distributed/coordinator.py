"""Rank 0's side of the watch: barriers of all processes, and which of them hangs or has ended.

One thread answers all of them. Each process sends one beat a second and one message per barrier, so that the requests
grow with the number of processes and not with the time that they wait.
"""

from __future__ import annotations

import hmac
import logging
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pannsdist.distributed.verdict import Verdict, ended
from pannsdist.distributed.wire import Connection

MAX_BEAT_S = 1.0
AFTER_VERDICT_S = 3.0
LEAVING_S = 5.0
"""How long a process that fails has for its message before the others end, and the launcher ends it."""
MISSED_BEATS = 2.5
BEATS = 5
"""At least so many beats fit into the time after which a process hangs."""


def beat_s(limit_s: float) -> float:
    """The seconds between two beats of a process that hangs after `limit_s`."""
    return min(MAX_BEAT_S, limit_s / BEATS)


@dataclass
class Member:
    """What is known of a process: when it was last received from, when it last went on, and with what."""

    received: float
    progressed: float
    progress: int = -1
    waits: bool = False
    doing: str = ""
    left: float | None = None
    connections: list[Connection] = field(default_factory=list)

    @property
    def has_left(self) -> bool:
        """Whether it has said that it comes to no further barrier."""
        return self.left is not None


class Coordinator:
    """Answers the processes of a run until `close`. `token` is what they prove their membership with.

    `requests` counts the messages of all of them.
    """

    def __init__(self, server: socket.socket, token: str, size: int, limit_s: float) -> None:
        self._server, self._token, self._limit_s = server, token, limit_s
        self._beat_s = beat_s(limit_s)
        now = time.monotonic()
        self._members = [Member(now, now) for _ in range(size)]
        self._arrived: dict[int, tuple[Connection, Sequence[float]]] = {}
        self._barrier = 0
        self._verdict: Verdict | None = None
        self.requests = 0
        self._selector = selectors.DefaultSelector()
        self._selector.register(server, selectors.EVENT_READ, None)
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="coordinator", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """End once all processes have left, or after some seconds."""
        start = time.monotonic()
        while self._are_some_present() and time.monotonic() - start < (AFTER_VERDICT_S if self._verdict else timeout_s):
            time.sleep(0.01)
        self._is_closing.set()
        self._thread.join(timeout_s)

    def _are_some_present(self) -> bool:
        faulty = self._verdict.reasons if self._verdict else ()
        return not all(member.has_left or rank in faulty for rank, member in enumerate(self._members))

    def _run(self) -> None:
        looked = time.monotonic()
        while not self._is_closing.is_set():
            for key, _ in self._selector.select(min(self._beat_s, 0.1)):
                self._serve(key.fileobj, key.data)
            now = time.monotonic()
            self._miss(now)
            if now - looked > self._beat_s:
                self._discount(now - looked - self._beat_s)
                self._judge(now)
                looked = now
        for member in self._members:
            for connection in member.connections:
                connection.close()
        self._selector.close()
        self._server.close()

    def _serve(self, ready: Any, rank: int | None) -> None:
        if ready is self._server:
            connection = Connection(self._server.accept()[0])
            self._selector.register(connection, selectors.EVENT_READ, None)
            return
        try:
            ready.read()
            while (message := ready.taken()) is not None:
                self.requests += 1
                rank = self._answer(ready, rank, message)
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            self._drop(ready, rank, error)

    def _answer(self, connection: Connection, rank: int | None, message: Any) -> int:
        """Answer a message; returns the rank of its sender. Raises ValueError for one that is no process of the run."""
        if rank is None:
            return self._admit(connection, message)
        member = self._members[rank]
        member.received = time.monotonic()
        if "beat" in message:
            self._note(member, *message["beat"])
            connection.send({"received": True})
        elif "leaves" in message:
            member.left = member.left or member.received
        else:
            self._arrive(rank, connection, message["barrier"], message["values"])
        return rank

    def _admit(self, connection: Connection, message: Any) -> int:
        token, rank = message["token"], int(message["rank"])
        if not hmac.compare_digest(str(token), self._token):
            raise ValueError("not a process of this run")
        self._members[rank].connections.append(connection)
        self._members[rank].received = time.monotonic()
        self._selector.modify(connection, selectors.EVENT_READ, rank)
        if self._verdict is not None:
            connection.send({"verdict": self._verdict.message()})
        return rank

    def _note(self, member: Member, progress: int, waits: bool, doing: str) -> None:
        if progress != member.progress:
            member.progress, member.progressed = progress, member.received
        member.waits, member.doing = waits, doing

    def _arrive(self, rank: int, connection: Connection, barrier: int, values: Sequence[float]) -> None:
        """Note a process that has come to a barrier, and answer all of them once it is the last one."""
        if barrier != self._barrier:
            raise ValueError(f"barrier {barrier} instead of {self._barrier}")
        self._arrived[rank] = connection, values
        if len(self._arrived) < len(self._members):
            return
        arrived = sorted(self._arrived.items())
        sums = _sums([row for _, (_, row) in arrived])
        self._arrived, self._barrier = {}, self._barrier + 1
        for other, (waiting, _) in arrived:
            self._send(waiting, other, {"sums": sums})

    def _discount(self, seconds: float) -> None:
        """Do not count the time during which this process itself was stopped."""
        if seconds > self._beat_s:
            for member in self._members:
                member.received += seconds
                member.progressed += seconds

    def _miss(self, now: float) -> None:
        """Decide that a process has ended which has left and is waited for, once it can have said why."""
        for rank, member in enumerate(self._members):
            is_missed = bool(self._arrived) and rank not in self._arrived and member.left is not None
            if is_missed and (not member.connections or now - (member.left or 0) > LEAVING_S):
                self._decide(ended(rank))
                return

    def _judge(self, now: float) -> None:
        if self._verdict is not None:
            return
        present = {rank: member for rank, member in enumerate(self._members) if not member.has_left}
        hanging = {rank: reason for rank, member in present.items() if (reason := self._reason(member, now))}
        if (
            not hanging
            and present
            and all(one.waits and now - one.progressed > self._limit_s for one in present.values())
        ):
            hanging = {rank: f"it waits for the others: {member.doing}" for rank, member in present.items()}
        if hanging:
            self._decide(Verdict(True, hanging))

    def _reason(self, member: Member, now: float) -> str:
        """Why a process counts as hanging; empty if it does not."""
        silent_s = now - member.received
        is_stuck = bool(member.doing) and not member.waits and now - member.progressed > self._limit_s
        if silent_s > self._limit_s or (is_stuck and silent_s > MISSED_BEATS * self._beat_s):
            last = f"; the last that is known of it: {member.doing}" if member.doing else ""
            return f"nothing was received from it for {silent_s:.0f} s{last}"
        return f"no progress for {self._limit_s:g} s: {member.doing}" if is_stuck else ""

    def _decide(self, verdict: Verdict) -> None:
        if self._verdict is not None:
            return
        self._verdict = verdict
        for rank, member in enumerate(self._members):
            for connection in tuple(member.connections):
                self._send(connection, rank, {"verdict": verdict.message()})

    def _send(self, connection: Connection, rank: int, message: Any) -> None:
        try:
            connection.send(message)
        except OSError as error:
            self._drop(connection, rank, error)

    def _drop(self, connection: Connection, rank: int | None, error: Exception) -> None:
        """Forget a connection; the process at its other end has ended unless it had left."""
        if connection.is_closed:  # another one of the process was served before, and the answer found this one lost
            return
        logging.getLogger(__name__).debug("rank %s: %s", rank, error)
        self._selector.unregister(connection)
        connection.close()
        if rank is None:
            return
        self._members[rank].connections.remove(connection)
        if not self._members[rank].has_left:
            self._decide(ended(rank))


def _sums(rows: Sequence[Sequence[float]]) -> list[float]:
    """The sum of each column, in the order of the ranks."""
    sums = list(rows[0])
    for row in rows[1:]:
        if len(row) != len(sums):
            raise ValueError("the processes sum different numbers of values")
        sums = [total + value for total, value in zip(sums, row, strict=True)]
    return sums
