"""A node's connection to the master."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping

from pannsdist.run.nodes.addresses import ipv4_of
from pannsdist.run.nodes.link import Link, LinkLost, Message
from pannsdist.run.nodes.master import Master, UnknownName
from pannsdist.run.nodes.membership import Report
from pannsdist.runtime.errors import UserError

CONNECT_S = 2.0
LONGEST_TEXT = 8000


class Client:
    """Connects, says what this node is, and connects again when the connection is lost. Call `turn` often.

    `secret` is how the master recognises the connection of its own supervisor.
    """

    def __init__(self, master: Master, facts: Mapping[str, str], secret: str) -> None:
        self.master, self._facts, self._secret = master, facts, secret
        self._link: Link | None = None
        self._lost_since = time.monotonic()
        self.reason = "there was no connection yet"

    @property
    def is_connected(self) -> bool:
        """Whether the master has answered: the system accepts connections for one that is stopped, too."""
        return self._link is not None and self._link.has_received

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, answered or not."""
        return self._link is not None

    @property
    def lost_s(self) -> float:
        """For how long the master has not answered; 0 while it does."""
        return 0.0 if self.is_connected else time.monotonic() - self._lost_since

    def connect(self) -> None:
        """Try to connect, unless an answer is waited for; `reason` says why it failed."""
        if self._link:
            return
        try:
            places = self.master.resolve()
        except UnknownName as error:  # the network is down, or the name of the master is new
            places, self.reason = [], error.wrong
        for family, where in places:
            connection = socket.socket(family, socket.SOCK_STREAM)
            connection.settimeout(CONNECT_S)
            try:
                connection.connect(where)
            except OSError as error:
                connection.close()
                self.reason = error.strerror or str(error)
                continue
            self._link = Link(connection)
            self.reason = "its port accepts connections, but nothing answers"
            self._greet(self._link)
            break

    def _greet(self, link: Link) -> None:
        host = ipv4_of(link.own_address)
        hello = {"type": "hello", "name": socket.gethostname(), "host": host, "facts": dict(self._facts)}
        self._send({**hello, "secret": self._secret})

    def turn(self) -> list[Message]:
        """What the master has sent; nothing without a connection. Raises UserError if it does not take this node."""
        if not self._link:
            return []
        try:
            messages = self._link.turn()
        except LinkLost as lost:
            self._lose(str(lost))
            return []
        for message in messages:
            if message["type"] == "refused":
                right = f"the same command, settings and versions on every node; the master is at {self.master}"
                raise UserError(f"the master does not take this node: {message.get('text')}", right)
        return messages

    def report(self, report: Report) -> None:
        """Tell how the processes of this node ended."""
        self._send({"type": "ended", "code": report.code, "killed": report.killed, "text": report.text[:LONGEST_TEXT]})

    def stop(self) -> None:
        """Tell that somebody stopped the run on this node."""
        self._send({"type": "stop"})

    def close(self) -> None:
        """Close the connection."""
        if self._link:
            self._link.close()
            self._link = None

    def _send(self, message: Message) -> None:
        if self._link:
            try:
                self._link.send(message)
            except LinkLost as lost:
                self._lose(str(lost))

    def _lose(self, reason: str) -> None:
        if self.is_connected:
            self._lost_since = time.monotonic()
        self.close()
        self.reason = reason
