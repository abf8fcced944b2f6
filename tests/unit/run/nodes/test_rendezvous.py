"""The server of the master over real sockets of this machine, turned by hand, and who connects to it."""

import json
import socket
import time
from dataclasses import dataclass, field

import pytest

from pannsdist.run.nodes import link as link_module
from pannsdist.run.nodes.client import Client
from pannsdist.run.nodes.link import LONGEST_LINE, Link, LinkLost
from pannsdist.run.nodes.master import Master, listen
from pannsdist.run.nodes.membership import Report, Rules
from pannsdist.run.nodes.server import Facts, Server
from pannsdist.runtime.errors import UserError

FACTS = {"--nodes": "2", "setting train.seed": "a1"}
SECRET = "of the master"
LIMIT_S = 10


@dataclass
class Rendezvous:
    """A master that waits for two nodes, and connections to it."""

    server: Server
    port: int
    links: list = field(default_factory=list)

    def connect(self):
        link = Link(socket.create_connection(("127.0.0.1", self.port)))
        self.links.append(link)
        return link

    def join(self, host, secret="", facts=FACTS):
        link = self.connect()
        link.send({"type": "hello", "name": "node", "host": host, "facts": facts, "secret": secret})
        return link

    def wait(self, link, kind):
        """The next message of a kind that the link gets."""
        limit = time.monotonic() + LIMIT_S
        while time.monotonic() < limit:
            self.server.turn()
            for message in link.turn():
                if message["type"] == kind:
                    return message
            time.sleep(0.005)
        raise AssertionError(f"no message {kind}")

    def begun(self):
        """The master and another node in their first round."""
        links = self.join("127.0.0.1", SECRET), self.join("10.0.0.2")
        return links, [self.wait(link, "begin") for link in links]

    def until_closed(self, sent):
        """What somebody gets who connects and sends these bytes, until the connection is closed."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.settimeout(0.02)
            received, limit = b"", time.monotonic() + LIMIT_S
            while time.monotonic() < limit:
                self.server.turn()
                try:
                    connection.sendall(sent)
                    sent = b""
                    part = connection.recv(1000)
                except TimeoutError:
                    continue
                except OSError:
                    return received
                if not part:
                    return received
                received += part
        raise AssertionError(f"still connected; it got {received!r}")


@pytest.fixture
def rendezvous():
    listener = listen(Master("gpu1", 0), (socket.AF_INET, ("127.0.0.1", 0)))
    made = Rendezvous(Server(listener, Facts(FACTS, SECRET), Rules(2, 2, 1, 30.0)), listener.getsockname()[1])
    yield made
    for link in made.links:
        link.close()
    made.server.close()


def test_all_get_the_same_addresses_and_port_and_each_its_rank(rendezvous):
    _, (first, second) = rendezvous.begun()
    assert first["hosts"] == second["hosts"] == ["127.0.0.1", "10.0.0.2"]
    assert first["port"] == second["port"]
    assert first["clock"] == second["clock"]
    assert [first["rank"], second["rank"]] == [0, 1]


def test_the_end_of_all_is_told_to_all(rendezvous):
    links, _ = rendezvous.begun()
    for link in links:
        link.send({"type": "ended", "code": 0, "killed": False, "text": ""})
    assert [rendezvous.wait(link, "finish")["code"] for link in links] == [0, 0]


def test_a_late_node_prints_that_it_waits(rendezvous):
    rendezvous.begun()
    said = rendezvous.wait(rendezvous.join("10.0.0.3"), "say")
    assert said["text"] == "2 nodes train; this one is taken in when they start again"


def test_a_closed_connection_ends_the_round_of_the_others(rendezvous):
    (master, other), _ = rendezvous.begun()
    other.close()
    assert rendezvous.wait(master, "halt")["grace_s"] > 0
    master.send({"type": "ended", "code": 75, "killed": False, "text": ""})
    assert "was lost: the connection was closed" in rendezvous.wait(master, "say")["text"]


@pytest.mark.parametrize(
    ("facts", "wrong"),
    [
        ({**FACTS, "--nodes": "3"}, "--nodes differs: 3 there, 2 on the master"),
        ({**FACTS, "setting train.seed": "b2"}, "setting train.seed differs"),
        ({"--nodes": "2"}, "setting train.seed differs"),
        ("all", "it is not a node of this job"),
        (None, "it is not a node of this job"),
    ],
)
def test_a_node_of_another_job_is_refused_with_a_sentence(rendezvous, facts, wrong):
    assert rendezvous.wait(rendezvous.join("10.0.0.2", facts=facts), "refused")["text"] == wrong


def test_two_nodes_with_one_address_are_refused(rendezvous):
    rendezvous.join("127.0.0.1", SECRET)
    refused = rendezvous.wait(rendezvous.join("127.0.0.1"), "refused")
    assert "a node with the address 127.0.0.1 is there already" in refused["text"]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: gpu1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\n",
        b"[]\n",
        b'{"type": 3}\n',
        b'{"type": "ended", "code": 0}\n',
        b'{"type": "hello", "name": 1, "host": "x"}\n',
        b"[" * 60000 + b"\n",
        b"x" * (5 * LONGEST_LINE),
    ],
)
def test_what_is_no_node_is_sent_away_and_changes_nothing(rendezvous, sent):
    assert b"begin" not in rendezvous.until_closed(sent)
    rendezvous.begun()


@pytest.mark.parametrize("report", [{"code": "0", "text": ""}, {"code": 0, "text": None}, {}])
def test_a_node_that_reports_nonsense_is_lost(rendezvous, report):
    (master, other), _ = rendezvous.begun()
    other.send({"type": "ended", **report})
    rendezvous.wait(master, "halt")


def test_a_client_joins_reports_and_hears_the_end(rendezvous):
    client = Client(Master("127.0.0.1", rendezvous.port), FACTS, SECRET)
    client.connect()
    other = rendezvous.join("10.0.0.2")
    try:
        assert next_order(rendezvous, client)["type"] == "begin"
        client.report(Report(2, text="train.epochs is 0"))
        assert rendezvous.wait(other, "halt")["grace_s"] > 0
        other.send({"type": "ended", "code": 75, "killed": False, "text": ""})
        finish = next_order(rendezvous, client)
        assert (finish["type"], finish["code"]) == ("finish", 2)
        assert finish["text"].endswith("train.epochs is 0")
    finally:
        client.close()


def test_a_client_that_is_refused_says_why(rendezvous):
    client = Client(Master("127.0.0.1", rendezvous.port), {}, "")
    client.connect()
    with pytest.raises(UserError, match="the master does not take this node: --nodes differs"):
        next_order(rendezvous, client)


def next_order(rendezvous, client):
    limit = time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        rendezvous.server.turn()
        found = [message for message in client.turn() if message["type"] != "say"]
        if found:
            return found[0]
        time.sleep(0.005)
    raise AssertionError("no order")


def test_a_client_notices_that_the_master_is_gone(rendezvous):
    client = Client(Master("127.0.0.1", rendezvous.port), FACTS, SECRET)
    client.connect()
    limit = time.monotonic() + LIMIT_S
    while not client.is_connected and time.monotonic() < limit:
        rendezvous.server.turn()
        client.turn()
    rendezvous.server.close()
    limit = time.monotonic() + LIMIT_S
    while client.is_connected and time.monotonic() < limit:
        assert [one for one in client.turn() if one["type"] != "say"] == []
    assert not client.is_connected
    assert "connection" in client.reason


def test_a_master_that_accepts_and_never_answers_is_lost_for_as_long(monkeypatch):
    """As the kernel does for one that a signal has stopped: connections to it must not prolong the waiting."""
    monkeypatch.setattr(link_module, "LOST_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Client(Master("127.0.0.1", listener.getsockname()[1]), FACTS, SECRET)
        lost_s, losses, limit = [client.lost_s], 0, time.monotonic() + LIMIT_S
        while losses < 3 and time.monotonic() < limit:
            client.connect()
            assert not client.is_connected
            losses += client.turn() == [] and "nothing arrived" in client.reason
            lost_s.append(client.lost_s)
            time.sleep(0.01)
        client.close()
    assert losses == 3
    assert lost_s == sorted(lost_s)
    assert lost_s[0] < lost_s[-1]


def test_a_message_may_come_in_parts():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as far:
        link, line = Link(listener.accept()[0]), json.dumps({"type": "say", "text": "é" * 100}).encode() + b"\n"
        far.sendall(line[:50])
        assert received(link, 0) == []
        far.sendall(line[50:] + line)
        assert [message["text"] for message in received(link, 2)] == ["é" * 100] * 2
    with pytest.raises(LinkLost, match="closed"):
        received(link, 1)
    link.close()


def received(link, count):
    messages, limit = link.turn(), time.monotonic() + LIMIT_S
    while len(messages) < count and time.monotonic() < limit:
        messages += link.turn()
    return messages
