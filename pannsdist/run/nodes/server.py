"""The service of the master: a connection to each of the nodes, and the decisions that are sent to all."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pannsdist.run.nodes.addresses import free_port, ipv4_of
from pannsdist.run.nodes.link import ALIVE_S, Link, LinkLost, Message
from pannsdist.run.nodes.membership import Begin, Finish, Halt, Membership, Node, Order, Report, Rules, Say
from pannsdist.runtime.errors import UserError

HELLO_S = 10.0
"""Who has connected says so soon what it is, or is sent away."""
LEAVE_S = 5.0
"""How long the master waits for the others to read the end."""


@dataclass(eq=False)
class _Guest:
    link: Link
    came_at: float
    node: Node | None = None
    local_address: str = ""


@dataclass(frozen=True)
class Facts:
    """What has to be equal on all nodes: the name of each fact as a user knows it, and its value."""

    values: Mapping[str, str]
    secret: str = field(default="", repr=False)
    """Known to the supervisor of the master alone: its own connection is recognised by it."""

    def difference(self, other: object) -> str:
        """The first fact that differs, in a sentence; empty if there is none."""
        if not isinstance(other, dict):
            return "it is not a node of this job"
        for name in sorted({*self.values, *other}):
            here, there = self.values.get(name, "none"), other.get(name, "none")
            if here != there:
                values = "" if name.startswith("setting ") else f": {there} there, {here} on the master"
                return f"{name} differs{values}"
        return ""


class Server:
    """Never waits: call `turn` a few times a second."""

    def __init__(self, accepting: socket.socket, facts: Facts, rules: Rules) -> None:
        self._accepting, self._facts, self._rules = accepting, facts, rules
        self._guests: list[_Guest] = []
        self._members = Membership(rules, time.monotonic())
        self._done = False

    def turn(self) -> None:
        """Accept who has come, read what has arrived, and send what follows."""
        self._accept()
        for guest in list(self._guests):
            self._listen_to(guest)
        for order in self._members.orders(time.monotonic()):
            self._give(order)

    def close(self) -> None:
        """Wait a little until the others have read the end, and close all connections."""
        deadline = time.monotonic() + (LEAVE_S if self._done else 0)
        while any(not (one.node and one.node.is_master) for one in self._guests) and time.monotonic() < deadline:
            time.sleep(0.05)
            for guest in list(self._guests):
                self._listen_to(guest)
        self._accepting.close()
        for guest in self._guests:
            guest.link.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._accepting.accept()
            except OSError:  # nobody, or one who has left already
                return
            if len(self._guests) > 2 * self._rules.most + 64:
                accepted.close()
                continue
            guest = _Guest(Link(accepted), time.monotonic())
            guest.local_address = guest.link.own_address
            self._guests.append(guest)

    def _listen_to(self, guest: _Guest) -> None:
        try:
            for message in guest.link.turn():
                self._handle(guest, message)
            if guest.node is None and time.monotonic() - guest.came_at > HELLO_S:
                raise LinkLost("it did not say what it is")
        except LinkLost as lost:
            self._drop(guest, str(lost))

    def _drop(self, guest: _Guest, reason: str) -> None:
        if guest not in self._guests:
            return
        self._guests.remove(guest)
        guest.link.close()
        if guest.node:
            self._members.leave(guest.node, reason, time.monotonic())

    def _handle(self, guest: _Guest, message: Message) -> None:
        kind, node = message["type"], guest.node
        if node is None:
            self._welcome(guest, message)
        elif kind == "ended":
            text = message.get("text")
            code, killed = message.get("code"), message.get("killed") is True
            if not isinstance(code, int) or not isinstance(text, str):
                raise LinkLost("it sent something else than pannsdist does")
            self._members.ended(node, Report(code, killed, text))
        elif kind == "stop":
            self._members.stop(node)

    def _welcome(self, guest: _Guest, message: Message) -> None:
        """Take a node in, or send it away with a sentence."""
        name, host = message.get("name"), message.get("host")
        if message["type"] != "hello" or not isinstance(name, str) or not isinstance(host, str):
            raise LinkLost("it sent something else than pannsdist does")
        wrong = self._facts.difference(message.get("facts"))
        other = next((one for one in self._guests if one.node and one.node.host == host), None)
        if not wrong and other and other.link.silent_s > 3 * ALIVE_S:
            self._drop(other, "it started anew")
        elif not wrong and other:
            wrong = f"a node with the address {host} is there already; --nproc N starts several processes on a node"
        if wrong:
            guest.link.send({"type": "refused", "text": wrong})
            return
        guest.node = Node(name[:80], host[:80], message.get("secret") == self._facts.secret)
        self._members.join(guest.node, time.monotonic())
        if self._members.training:
            self._send_to_spare([guest.node], self._members.training)

    def _give(self, order: Order) -> None:
        if isinstance(order, Begin):
            self._begin(order)
        elif isinstance(order, Halt):
            self._send(order.nodes, {"type": "halt", "grace_s": order.grace_s})
        elif isinstance(order, Say):
            self._send(self._members.nodes, {"type": "say", "text": order.text})
        elif isinstance(order, Finish):
            self._done = True
            self._send(self._members.nodes, {"type": "finish", "code": order.code, "text": order.text})

    def _begin(self, order: Begin) -> None:
        hosts = [node.host for node in order.nodes]
        try:
            hosts[0] = self._own_host(order.nodes)
            port = free_port(hosts[0])
        except UserError as error:
            self._give(Finish(2, str(error)))
            return
        begin = {"type": "begin", "number": order.number, "hosts": hosts, "names": list(map(str, order.nodes))}
        begin["clock"] = time.time()
        for rank, node in enumerate(order.nodes):
            self._send([node], {**begin, "rank": rank, "port": port})
        spare = [node for node in self._members.nodes if node not in order.nodes]
        self._send_to_spare(spare, len(order.nodes))

    def _send_to_spare(self, nodes: Sequence[Node], training: int) -> None:
        who = "1 node trains" if training == 1 else f"{training} nodes train"
        self._send(nodes, {"type": "say", "text": f"{who}; this one is taken in when they start again"})

    def _own_host(self, nodes: Sequence[Node]) -> str:
        """The address of the master as another node has reached it: its own name may mean the loopback interface."""
        others = [one for one in self._guests if one.node and one.node in nodes and not one.node.is_master]
        return ipv4_of(others[0].local_address) if others else "127.0.0.1"

    def _send(self, nodes: Sequence[Node], message: Message) -> None:
        for guest in [one for one in self._guests if one.node and one.node in nodes]:
            try:
                guest.link.send(message)
            except LinkLost as lost:
                self._drop(guest, str(lost))
