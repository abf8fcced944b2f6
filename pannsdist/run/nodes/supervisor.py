"""One node of a run on several machines: waits for its orders, runs Paddle's launcher, and reports how it ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from pannsdist.run.launching import process_tree
from pannsdist.run.launching.job_pool import SIGNALS
from pannsdist.run.nodes.client import Client
from pannsdist.run.nodes.link import Message
from pannsdist.run.nodes.master import AGAIN_S
from pannsdist.run.nodes.membership import CONTINUE, GRACE_S, Report
from pannsdist.run.nodes.node_command import NodeRun, Place
from pannsdist.run.nodes.node_round import Halted, NodeRound
from pannsdist.run.nodes.server import Server
from pannsdist.runtime import console, signals, streams
from pannsdist.runtime.errors import EXIT_STOPPED, EXIT_USER_ERROR, PeerLost, UserError
from pannsdist.runtime.redaction import without_credentials

TURN_S = 0.1


class Supervisor:
    """The node that is the master has the server too; both live in one thread and never wait for the other nodes.

    `open_server` gives the server where this node is the master; None on the others, and where that is not known yet.
    """

    def __init__(
        self, run: NodeRun, client: Client, open_server: Callable[[], Server | None], join_timeout_s: float
    ) -> None:
        self._run, self._client, self._join_timeout_s = run, client, join_timeout_s
        self._open_server = open_server
        self._server: Server | None = None
        self._has_connected, self._tried_at = False, 0.0
        self._waits_for = ""
        self._stopped = self._stop_sent = False
        self._orders: list[Message] = []
        self._printed = ""

    def run(self) -> int:
        """Take part until the run has ended, and return the exit code, equal on all nodes. Leaves no process behind.

        Raises UserError if the master does not take this node, PeerLost if it is lost and does not return.
        """
        process_tree.adopt_orphans()
        numbers = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        with signals.handled(numbers, self._on_signal):
            try:
                return self._until_finished()
            finally:
                self._client.close()
                if self._server:
                    self._server.close()

    def _until_finished(self) -> int:
        while True:
            order = self._next_order()
            if order is None:
                console.print_main(f"stopped while waiting for other nodes\n  next: {self._run.command_line}")
                return EXIT_STOPPED
            if order["type"] == "finish":
                return self._finished(int(order["code"]), str(order["text"]))
            self._take_part(order)

    def _take_part(self, order: Message) -> None:
        place = _place(order)
        job = self._run.job(place)
        console.print_main(self._run.lines(place, job))
        current = NodeRound(job, self)
        try:
            report = current.run()
        except UserError as error:  # such as a full disk
            report = Report(EXIT_USER_ERROR, text=str(error))
        finally:
            process_tree.kill_descendants(os.getpid())
            process_tree.reap()
        self._printed = current.printed
        self._orders = [one for one in self._orders if one["type"] == "finish"]
        self._client.report(report)

    def _finished(self, code: int, text: str) -> int:
        if code == EXIT_STOPPED:
            console.print_main(f"{text}\n  next: {self._run.command_line}")
        elif text and not _is_known(text, self._printed):
            streams.complain(without_credentials(f"error: {text}"))
        return code

    def _next_order(self) -> Message | None:
        """The next order to begin or to finish; None if this node was stopped while it waited."""
        while True:
            self.turn()
            while self._orders:
                order = self._orders.pop(0)
                if order["type"] in ("begin", "finish"):
                    return order
            if self._stopped and self._server is None:
                return None
            if self._stopped and not self._stop_sent:
                self.on_stop()
            if not self._client.is_connected:
                self._connect()
            time.sleep(TURN_S)

    def _connect(self) -> None:
        """Try to connect, unless that was tried just now; until it was connected once, this node may be the master."""
        if time.monotonic() - self._tried_at < AGAIN_S:
            return
        if self._server is None and not self._has_connected:
            self._server = self._open_server()
        self._client.connect()
        self._tried_at = time.monotonic()
        if not self._client.is_connected:
            self._wait()

    def _wait(self) -> None:
        """Say once what is waited for. Raises PeerLost when that took too long."""
        reason, master = self._client.reason, self._client.master
        if self._client.lost_s > self._join_timeout_s:
            wrong = f"no connection to the master at {master} for {self._join_timeout_s:g} s"
            right = f"{reason}\nstart the same command there; {CONTINUE}"
            raise PeerLost(wrong, right, self._run.command_line)
        if reason != self._waits_for and not self._server and not self._client.is_open:
            self._waits_for = reason
            console.print_main(f"waiting up to {self._join_timeout_s:g} s for the master at {master}: {reason}")

    def turn(self) -> None:
        """Keep the connections alive, print what the master says, and note its orders."""
        if self._server:
            self._server.turn()
        was_connected = self._client.is_connected
        for message in self._client.turn():
            if message["type"] == "say":
                console.print_main(message["text"])
            else:
                self._orders.append(message)
        self._has_connected = self._has_connected or self._client.is_connected
        if was_connected and not self._client.is_connected:
            streams.complain(without_credentials(f"the master is lost: {self._client.reason}; waiting for it"))

    def halted(self) -> Halted | None:
        """The master orders it, or is lost."""
        if not self._client.is_connected:
            return Halted(time.monotonic() + GRACE_S)
        order = next((one for one in self._orders if one["type"] in ("halt", "finish")), None)
        if order is None:
            return None
        grace_s = order.get("grace_s")
        return Halted(None if grace_s is None else time.monotonic() + grace_s)

    def on_stop(self) -> None:
        """Somebody stopped this node: all of them stop."""
        self._stop_sent = True
        self._client.stop()

    def _on_signal(self, *_: object) -> None:
        self._stopped = True


def _place(order: Message) -> Place:
    behind_s = float(order["clock"]) - time.time()
    return Place(order["number"], order["rank"], tuple(order["hosts"]), tuple(order["names"]), order["port"], behind_s)


def _is_known(text: str, printed: str) -> bool:
    """Whether the message holds the error that the first process of this node has printed itself."""
    return bool(printed) and printed.splitlines()[0] in text
