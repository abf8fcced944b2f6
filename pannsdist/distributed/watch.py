"""A process's side of the watch: its barriers, and a thread that tells the others that it is alive.

The thread also learns which process hangs or has ended. It needs no help from the main thread, which may be blocked in
C++ or by a file system.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass

from pannsdist.distributed.coordinator import beat_s
from pannsdist.distributed.verdict import Verdict, ended
from pannsdist.distributed.wire import Connection, connected
from pannsdist.runtime import exit_codes
from pannsdist.runtime.errors import EXIT_STOPPED

END_S, UNWIND_S = 10.0, 30.0
"""How long a process may take to end by itself, before and after its main thread knows that it has to."""
STANDARD_ERROR = 2
CONNECT_S = 30.0
WRITE_S = 0.5


@dataclass(frozen=True)
class Membership:
    """The rank of a process, and what it proves with that it is of this run."""

    token: str
    rank: int


class Watch:
    """Connections to the coordinator at `address`, and what this process does.

    Once a process has hung for `limit_s` or has ended, `barrier` raises PeerLost in the others. If it hangs, they write
    their stacks to standard error and call `on_hang`. One whose main thread is blocked exits with EXIT_STOPPED.
    """

    def __init__(
        self, address: tuple[str, int], member: Membership, limit_s: float, on_hang: Callable[[Verdict], None]
    ) -> None:
        self._limit_s, self._beat_s, self._on_hang = limit_s, beat_s(limit_s), on_hang
        self._progress, self._waits, self._doing = 0, False, ""
        self._verdict: Verdict | None = None
        self._deciding, self._has_raised = threading.Lock(), False
        self._barriers = 0
        self._beats, self._connection = (_joined(address, member) for _ in range(2))
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def mark(self, doing: str) -> None:
        """Note what this process does from now on."""
        self._doing, self._waits = doing, False
        self._progress += 1

    @contextmanager
    def waiting(self, what: str = "") -> Iterator[None]:
        """Context in which this process waits for others, so that it is none that hangs."""
        before = self._doing
        if what:
            self._doing = f"{what} (before: {before})"
        self._waits, self._progress = True, self._progress + 1
        try:
            yield
        finally:
            self._waits, self._progress, self._doing = False, self._progress + 1, before

    def barrier(self, *values: float) -> tuple[float, ...]:
        """Wait until all processes have come; returns the sum of each value. Raises PeerLost."""
        barrier, self._barriers = self._barriers, self._barriers + 1
        with self.waiting():
            try:
                self._raise_verdict()
                self._connection.send({"barrier": barrier, "values": values})
                while (answer := self._connection.receive(self._beat_s)) is None:
                    self._raise_verdict()
            except (OSError, ValueError):
                self._decide(ended(0))
                answer = {}
        if "verdict" in answer:
            self._decide(Verdict.of(answer["verdict"]))
        self._raise_verdict()
        return tuple(answer["sums"])

    def verdict(self, timeout_s: float) -> Verdict | None:
        """Why the run cannot go on; None if nothing is known within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while self._verdict is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return self._verdict

    def close(self) -> None:
        """Leave: from now on this process is not watched. The connections are closed by its end, which others see."""
        with suppress(OSError):
            self._connection.send({"leaves": True})
        self._is_closing.set()
        self._thread.join(END_S)

    def disconnect(self) -> None:
        """Close the connections after `close`, as the end of the process does."""
        self._beats.close()
        self._connection.close()

    def _raise_verdict(self) -> None:
        if self._verdict is not None:
            self._has_raised = True
            raise self._verdict.error()

    def _decide(self, verdict: Verdict) -> None:
        """Keep the first verdict; of processes that hang, with the stacks of this one in its log."""
        with self._deciding:
            if self._verdict is not None:
                return
            if verdict.hangs:
                _try(lambda: faulthandler.dump_traceback(STANDARD_ERROR, all_threads=True))
                self._on_hang(verdict)
            self._verdict = verdict

    def _run(self) -> None:
        try:
            self._send_beats()
            if self._verdict is not None:
                self._end(self._verdict)
            with suppress(OSError):
                self._beats.send({"leaves": True})
        finally:
            faulthandler.cancel_dump_traceback_later()

    def _send_beats(self) -> None:
        """Send beats and read the answers until there is a verdict, or this process leaves."""
        received = looked = time.monotonic()
        while self._verdict is None and not self._is_closing.is_set():
            now = time.monotonic()
            stopped = now - looked - self._beat_s
            received, looked = received + (stopped if stopped > self._beat_s else 0), now
            if stopped > self._limit_s - self._beat_s:
                time.sleep(WRITE_S)  # in which the thread of the line below writes the stacks, as its time is over
            # Its thread needs no Python: it also writes the stacks of a process that is stopped, once that goes on.
            faulthandler.dump_traceback_later(self._limit_s, file=STANDARD_ERROR)
            try:
                self._beats.send({"beat": (self._progress, self._waits, self._doing)})
                if self._read_answers(now + self._beat_s):
                    received = time.monotonic()
            except (OSError, ValueError):
                self._decide(ended(0))
            if time.monotonic() - received > self._limit_s:
                self._decide(Verdict(True, {0: f"nothing was received from it for {self._limit_s:g} s"}))

    def _read_answers(self, until: float) -> bool:
        """Read what arrives until then, or up to a verdict; returns whether anything did."""
        has_received = False
        while (left := until - time.monotonic()) > 0 and self._verdict is None and not self._is_closing.is_set():
            message = self._beats.receive(min(left, 0.1))
            has_received |= message is not None
            if message and "verdict" in message:
                self._decide(Verdict.of(message["verdict"]))
        return has_received

    def _end(self, verdict: Verdict) -> None:
        """Exit once the main thread has not ended by itself for some seconds.

        Where another process has ended, a main thread that does not wait for it may go on until it does.
        """
        free = time.monotonic()
        while time.monotonic() - free < (UNWIND_S if self._has_raised else END_S):
            if self._is_closing.wait(0.1):
                return
            if not (verdict.hangs or self._waits):
                free = time.monotonic()
        _try(lambda: _report(None if self._has_raised else verdict))
        os._exit(EXIT_STOPPED)


def _joined(address: tuple[str, int], member: Membership) -> Connection:
    connection = connected(*address, CONNECT_S)
    connection.send(asdict(member))
    return connection


def _report(verdict: Verdict | None) -> None:
    """What a process does last whose main thread is blocked."""
    if verdict is not None:
        error = verdict.error()
        print(f"error: {error}", file=sys.stderr, flush=True)
        exit_codes.note_error(error)
    sys.stdout.flush()
    exit_codes.note(EXIT_STOPPED)


def _try(write: Callable[[], None]) -> None:
    """Write something to a file whose file system may be what hangs."""
    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    thread.join(END_S)
