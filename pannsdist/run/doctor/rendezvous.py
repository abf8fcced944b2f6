"""The doctors of several nodes connect at HOST:PORT, look at each other, and all get the same reports.

The node that has the address of HOST is the host and number 0; the others come within the join timeout.
Nothing but JSON within bounds is read, no command is taken from it, and every step has a deadline.
"""

from __future__ import annotations

import math
import re
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pannsdist.run.doctor.channel import Channel, Deadline
from pannsdist.run.doctor.comparing import NodeReport, Sight
from pannsdist.run.doctor.facts import Facts, from_plain, to_plain
from pannsdist.run.doctor.reaching import echoing, reach_all
from pannsdist.run.doctor.tokens import look_at, token_written
from pannsdist.run.nodes.master import Master, addresses_of, listen
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.messages import BadMessage

VERSION = 1
STEP_S = 45.0
"""Deadline of a step after all have come: connecting to every node, and looking for files."""
RETRY_S = 0.3
GREETING_S = 10.0
"""How long either side waits for the first words of the other."""
TOKEN_WORD = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Rendezvous:
    """Where the nodes connect, how many are to come, in how many seconds; `listening` is the port for the others."""

    master: Master
    nodes: int
    join_timeout_s: float
    listening: int = 0


class NoRendezvous(Exception):
    """This node could not take part; the text says why."""


def compared(rendezvous: Rendezvous, facts: Facts, place: str | None) -> list[NodeReport]:
    """The reports of all nodes that came, the first that of the host; `place` is the run folder. Raises NoRendezvous.

    One process on each node must call this.
    """
    deadline, folder, reason = Deadline(rendezvous.join_timeout_s), None if place is None else Path(place), ""
    try:
        while not reason or not deadline.is_over:
            server = _listening(rendezvous.master)  # tried again: a port may only have been probed by another doctor
            if server is not None:
                with server:
                    return _Host(rendezvous, facts, folder).run(server, deadline)
            channel, reason = _connected(rendezvous, deadline)
            if channel is not None:
                with channel:
                    return _visit(channel, rendezvous, facts, folder)
            time.sleep(RETRY_S)
    except (OSError, ValueError) as error:
        raise NoRendezvous(f"the rendezvous at {rendezvous.master} ended early: {error}") from error
    raise NoRendezvous(f"{rendezvous.master} was not reached within {rendezvous.join_timeout_s:.0f} s: {reason}")


def _listening(master: Master) -> socket.socket | None:
    """The socket of the host; None on the other nodes, and where another doctor of this machine is the host."""
    try:
        own = master.own()
        return None if own is None else listen(master, own)
    except UserError:  # the name is not known, or the port is taken: a finding says so
        return None


@dataclass(frozen=True)
class _Guest:
    """A node that came: its connection, address, port for the others, facts, and clock against the host's."""

    channel: Channel
    address: str
    port: int
    facts: Facts
    clock_ahead_s: float

    def tell(self, content: dict[str, Any], step: Deadline) -> None:
        """Send to the node; one that is gone is noticed when its report is missing."""
        with suppress(OSError):
            self.channel.send(content, step)

    def wait(self, step: Deadline) -> None:
        """Wait for a word of the node; one that is gone is noticed when its report is missing."""
        with suppress(OSError, BadMessage):
            self.channel.receive(step)


class _Host:
    """The node at HOST:PORT: takes the others in, leads through the steps, and sends everyone the reports."""

    def __init__(self, rendezvous: Rendezvous, facts: Facts, folder: Path | None) -> None:
        self._rendezvous, self._facts, self._folder = rendezvous, facts, folder

    def run(self, server: socket.socket, deadline: Deadline) -> list[NodeReport]:
        """The reports of those who came."""
        word = secrets.token_hex(8)
        with ExitStack() as stack:
            guests = list(self._arriving(server, deadline, stack))
            address = self._address(guests)
            port = stack.enter_context(echoing(address))
            places = [(address, port), *((guest.address, guest.port) for guest in guests)]
            fault = stack.enter_context(token_written(self._folder, word, 0))
            step = Deadline(STEP_S)
            for number, guest in enumerate(guests, start=1):
                guest.tell({"number": number, "word": word, "places": places}, step)
            for guest in guests:  # all of them have written their files and answer
                guest.wait(step)
            for guest in guests:
                guest.tell({"look": True}, step)
            links, tokens = reach_all(places, 0), look_at(self._folder, word, len(places), 0)
            reports = [NodeReport(address, self._facts, 0.0, Sight(links, tokens, fault))]
            reports += [self._report(guest, step) for guest in guests]
            for guest in guests:
                guest.tell({"reports": [to_plain(one) for one in reports]}, step)
            return reports

    def _address(self, guests: Sequence[_Guest]) -> str:
        """Where the others have reached this node: its own name may mean the loopback interface."""
        reached = [str(guest.channel.connection.getsockname()[0]) for guest in guests]
        host = self._rendezvous.master.host
        return next(iter([*reached, *addresses_of(host)]), host)

    def _arriving(self, server: socket.socket, deadline: Deadline, stack: ExitStack) -> Iterator[_Guest]:
        """The nodes that come before the deadline, up to the number that is expected."""
        missing = self._rendezvous.nodes - 1
        while missing and not deadline.is_over:
            server.settimeout(deadline.left_s)
            try:
                connection, place = server.accept()
            except TimeoutError:
                return
            channel = Channel(connection)
            try:
                guest = _greeted(channel, str(place[0]))
            except (OSError, ValueError):
                channel.close()  # a probe of a port, or something else that is no doctor
                continue
            stack.enter_context(channel)
            missing -= 1
            yield guest

    def _report(self, guest: _Guest, step: Deadline) -> NodeReport:
        """What a node saw; without it, what is known of it."""
        try:
            sight = from_plain(Sight, guest.channel.receive(step))
        except (OSError, ValueError) as error:
            sight = Sight(fault=f"it did not report: {error}")
        return NodeReport(guest.address, guest.facts, guest.clock_ahead_s, sight)


def _greeted(channel: Channel, address: str) -> _Guest:
    """A node that has just connected. Raises OSError, BadMessage, ValueError if it is none."""
    deadline = Deadline(GREETING_S)
    channel.send({"pannsdist-doctor": VERSION}, deadline)
    content = channel.receive(deadline)
    facts = from_plain(Facts, content.get("facts"))
    port = content.get("port")
    if type(port) is not int or not 0 < port < 65536:
        raise BadMessage("a port that is none")
    before = time.time()
    channel.send({"clock": True}, deadline)
    clock_s = channel.receive(deadline).get("clock")
    if not isinstance(clock_s, float) or not math.isfinite(clock_s):
        raise BadMessage("a clock that is no number")
    return _Guest(channel, address, port, facts, round(clock_s - (before + time.time()) / 2, 3))


def _visit(channel: Channel, rendezvous: Rendezvous, facts: Facts, folder: Path | None) -> list[NodeReport]:
    """Take part in that of another node, which may wait for others, and may have begun later than this one."""
    step = Deadline(rendezvous.join_timeout_s + STEP_S)
    with ExitStack() as stack:
        own = str(channel.connection.getsockname()[0])
        port = stack.enter_context(echoing(own, rendezvous.listening))
        channel.send({"facts": to_plain(facts), "port": port}, step)
        channel.receive(step)
        channel.send({"clock": time.time()}, step)
        start = channel.receive(step)
        number, word, places = _checked(start, rendezvous.nodes)
        fault = stack.enter_context(token_written(folder, word, number))
        channel.send({"ready": True}, step)
        channel.receive(step)
        links, tokens = reach_all(places, number), look_at(folder, word, len(places), number)
        channel.send(to_plain(Sight(links, tokens, fault)), step)
        reports = channel.receive(step).get("reports")
        if not isinstance(reports, list) or len(reports) > rendezvous.nodes:
            raise BadMessage("reports that are none")
        return [from_plain(NodeReport, one) for one in reports]


def _connected(rendezvous: Rendezvous, deadline: Deadline) -> tuple[Channel | None, str]:
    """A connection to the host of the rendezvous; None, and the reason, while there is none."""
    channel = None
    try:
        master = rendezvous.master
        channel = Channel(socket.create_connection((master.host, master.port), min(5.0, deadline.left_s)))
        if channel.receive(Deadline(min(GREETING_S, deadline.left_s))).get("pannsdist-doctor") == VERSION:
            return channel, ""
        reason = "another version of pannsdist doctor answers there"
    except BadMessage:
        reason = "something answers there that is no pannsdist doctor"
    except OSError as error:
        reason = f"{error.strerror or error}"
    if channel is not None:
        channel.close()
    return None, reason


def _checked(start: dict[str, Any], nodes: int) -> tuple[int, str, Sequence[tuple[str, int]]]:
    """Number, word and places, from the host: the word becomes part of a file name. Raises BadMessage."""
    number, word, places = start.get("number"), start.get("word"), start.get("places")
    if type(number) is not int or not 0 < number < nodes or not isinstance(word, str) or not TOKEN_WORD.fullmatch(word):
        raise BadMessage("a number or a word that is none")
    if not isinstance(places, list) or len(places) > nodes:
        raise BadMessage("places that are none")
    for place in places:
        if not (isinstance(place, list) and len(place) == 2 and type(place[0]) is str and type(place[1]) is int):
            raise BadMessage("a place that is none")
    return number, word, [(place[0], place[1]) for place in places]
