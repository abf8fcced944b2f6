"""Doctors of several nodes compare them: in network namespaces joined by a bridge, and with strangers on the port."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from observed import PLUGINS, WELL, exchanged

from pannsdist.run.doctor.channel import MAX_BYTES
from pannsdist.run.doctor.comparing import compare
from pannsdist.run.doctor.finding import Verdict
from pannsdist.run.doctor.nodes import Examination, examine
from pannsdist.run.doctor.probing.network import network
from pannsdist.run.doctor.probing.node import Wanted
from pannsdist.run.doctor.rendezvous import NoRendezvous, Rendezvous, compared
from pannsdist.run.nodes.master import Master

pytestmark = [pytest.mark.any_paddle, pytest.mark.slow]
SCRIPT = Path(__file__).with_name("node_script.py")
PORT, LISTENING, LIMIT_S = 29617, 29618, 60


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def spaces():
    """Two network namespaces, 10.213.7.1 and 10.213.7.2."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    names = [f"doctor-{os.getpid()}-{number}" for number in (1, 2)]
    try:
        for name in names:
            ip("netns", "add", name)
        ip(
            "link",
            "add",
            f"dv{os.getpid()}",
            "netns",
            names[0],
            "type",
            "veth",
            "peer",
            "name",
            "dw",
            "netns",
            names[1],
        )
        for number, (name, link) in enumerate(zip(names, (f"dv{os.getpid()}", "dw"), strict=True), start=1):
            ip("-n", name, "addr", "add", f"10.213.7.{number}/24", "dev", link)
            ip("-n", name, "link", "set", link, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.decode(errors='replace')}")
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def met(spaces, folder, *changes, timeout_s=20.0):
    """What each node that has an entry in `changes` finds."""
    given = {"host": "10.213.7.1", "port": PORT, "nodes": 2, "timeout_s": timeout_s, "folder": str(folder)}
    given["listening"] = LISTENING
    started = []
    for number, (space, change) in enumerate(zip(spaces, changes, strict=False)):
        words = ["ip", "netns", "exec", space, *change.pop("below", ()), sys.executable, str(SCRIPT)]
        words.append(json.dumps({**given, "name": f"node-{number}", **change}))
        started.append(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    results = [process.communicate(timeout=LIMIT_S) for process in started]
    assert [process.returncode for process in started] == [0] * len(started), [errors for _, errors in results]
    return [json.loads(printed) for printed, _ in results]


@pytest.fixture
def filtered(spaces):
    """A function that drops what one node sends to a port of the other."""
    rules = []

    def drop(number, port):
        rules.append((spaces[number], ["ipproto", "tcp", "dport", str(port), "blackhole"]))
        ip("-n", rules[-1][0], "rule", "add", *rules[-1][1])

    yield drop
    for space, rule in rules:
        ip("-n", space, "rule", "del", *rule)


def test_two_nodes_that_are_alike_find_nothing_and_leave_nothing(spaces, tmp_path):
    assert met(spaces, tmp_path, {}, {}) == [{}, {}]
    assert list(tmp_path.iterdir()) == []


def test_every_difference_is_named_on_both_nodes(spaces, tmp_path):
    (tmp_path / "other").mkdir()
    change = {"folder": str(tmp_path / "other"), "paddle": "2.6.2", "clock_s": 3600, "name": "localhost"}
    other = {"settings": {"values": {"name": "run", "train.batch_size": "16"}}}
    change["facts"] = {**other, "software": {"plugins": PLUGINS | {"dataset esc50": "pannsdist-esc50 0.2.0"}}}
    first, second = met(spaces, tmp_path, {}, change)
    together = {
        "same Paddle",
        "same plugin: pannsdist-esc50",
        "same settings: train.batch_size",
        "clocks of the nodes",
        "shared run folder",
    }
    assert set(first) == together
    assert set(second) == together | {"own host name"}
    assert "127.0.0.1" in second["own host name"]
    assert "is 3600 s ahead of that of node-0" in first["clocks of the nodes"]
    assert "localhost (10.213.7.2)" in first["same Paddle"]


OTHER_PROGRAM = """
import socket, sys
with socket.create_server(("", int(sys.argv[1]))) as server:
    print(flush=True)
    while True:
        connection, _ = server.accept()
        connection.sendall(b"220 mail ready\\n")
        connection.close()
"""
LIMITED = """
mount -t tmpfs -o size=64M tmpfs /dev/shm
ulimit -n 64
export PATH="$0:$PATH"
exec "$@"
"""
SMI = """#!/bin/sh
case "$1" in
*compute_cap) echo "0, NVIDIA H100 80GB HBM3, 9.0" ;;
*) echo "0, 550.54.14, 81559, 81000, Enabled, 0, 700.00, 700.00" ;;
esac
"""


def test_what_a_machine_lacks_is_named_on_it_beside_the_comparison(spaces, tmp_path):
    """Memory for workers, files, locks, and machine code for the GPU, with nvidia-smi exchanged."""
    (smi := tmp_path / "nvidia-smi").write_text(SMI)
    smi.chmod(0o755)
    lacking = {"observed": True, "unlocked": True, "below": ["unshare", "--mount", "sh", "-ec", LIMITED, str(tmp_path)]}
    first, second = met(spaces, tmp_path, {}, lacking)
    own = {"/dev/shm", "open files", "locks", "machine code, GPU 0"}
    together = {"locks between nodes", "same Paddle", "same CUDA of the wheel"}
    assert own & set(second) == own
    assert own & set(first) == set()
    for found in (first, second):
        assert together & set(found) == together
        assert found["locks between nodes"].startswith("node-1 (10.213.7.2) can lock what node-0")
    assert second["/dev/shm"].startswith("64 MiB")
    assert second["open files"].startswith("a process may have 64 (ulimit -n)")
    assert "NVIDIA H100" in second["machine code, GPU 0"]


def test_a_port_that_another_program_has_is_named_on_both_nodes(spaces, tmp_path):
    words = ["ip", "netns", "exec", spaces[0], sys.executable, "-c", OTHER_PROGRAM, str(PORT)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as other:
        try:
            other.stdout.readline()
            first, second = met(spaces, tmp_path, {}, {}, timeout_s=2.0)
        finally:
            other.kill()
    assert first["port of the master"] == f"{PORT} cannot be used: Address already in use"
    for found in (first, second):
        assert "something answers there that is no pannsdist doctor" in found["not met"]


def test_a_port_filtered_one_way_is_named_on_both_nodes(spaces, tmp_path, filtered):
    filtered(0, LISTENING)
    for found in met(spaces, tmp_path, {}, {}):
        assert list(found) == ["connections"]
        assert "node-0 (10.213.7.1) cannot reach node-1 (10.213.7.2): 10.213.7.2 port 29618" in found["connections"]
        assert "the other way works" in found["connections"]


def test_where_the_port_of_the_master_is_filtered_each_node_says_what_it_lacks(spaces, tmp_path, filtered):
    filtered(1, PORT)
    first, second = met(spaces, tmp_path, {}, {}, timeout_s=2.0)
    assert first["nodes"] == "1 of 2 did not come; these did: node-0 (10.213.7.1)"
    assert "10.213.7.1:29617 was not reached within 2 s" in second["not met"]


def on_loopback(count, port, expected=0, timeout_s=10.0):
    """The reports that each of `count` nodes of this machine gets, or the error."""
    found = [None] * count
    seen = replace(WELL, network=network(Master("127.0.0.1", port)))

    def take_part(number):
        named = exchanged(seen, network={"host": f"node-{number}"})
        try:
            found[number] = compared(Rendezvous(Master("127.0.0.1", port), expected or count, timeout_s), named, None)
        except NoRendezvous as error:
            found[number] = error

    threads = [threading.Thread(target=take_part, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads, found


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_four_nodes_get_the_same_reports(free_port):
    threads, found = on_loopback(4, free_port)
    for thread in threads:
        thread.join(LIMIT_S)
    assert len({repr(reports) for reports in found}) == 1
    assert sorted(one.facts.network.host for one in found[0]) == [f"node-{number}" for number in range(4)]
    assert len(found[0][0].sight.links) == 3
    assert {one.verdict for one in compare(found[0], 4)} == {Verdict.OK, Verdict.UNKNOWN}


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\n",
        b"[]\n",
        b'{"facts": {}, "port": 1}\n',
        b"[" * 100_000 + b"\n",
        b"x" * MAX_BYTES,
    ],
    ids=["http", "no UTF-8", "a list", "no facts", "nested", "long"],
)
def test_a_stranger_on_the_port_does_not_end_the_rendezvous(free_port, sent):
    threads, found = on_loopback(1, free_port)  # one node alone takes nobody in
    threads[0].join(LIMIT_S)
    assert len(found[0]) == 1
    results = []
    seen = replace(WELL, network=network(Master("127.0.0.1", free_port)))
    host = threading.Thread(
        target=lambda: results.append(compared(Rendezvous(Master("127.0.0.1", free_port), 2, 20.0), seen, None))
    )
    host.start()
    while True:
        try:
            stranger = socket.create_connection(("127.0.0.1", free_port), 5.0)
            break
        except ConnectionRefusedError:
            continue
    with stranger:
        stranger.sendall(sent)
        stranger.shutdown(socket.SHUT_WR)
        while stranger.recv(1 << 16):
            continue
    guest = compared(Rendezvous(Master("127.0.0.1", free_port), 2, 20.0), seen, None)
    host.join(LIMIT_S)
    assert [len(guest), len(results[0])] == [2, 2]


def test_where_something_else_answers_at_the_master_this_is_said():
    with socket.create_server(("127.0.0.1", 0)) as taken:

        def answer():
            for _ in range(50):
                connection, _ = taken.accept()
                connection.sendall(b"220 mail ready\n")
                connection.close()

        threading.Thread(target=answer, daemon=True).start()
        port = taken.getsockname()[1]
        with pytest.raises(NoRendezvous, match="something answers there that is no pannsdist doctor"):
            compared(
                Rendezvous(Master("127.0.0.1", port), 2, 1.0),
                replace(WELL, network=network(Master("127.0.0.1", port))),
                None,
            )


def test_a_node_that_does_not_come_is_named_on_every_node(free_port):
    threads, found = on_loopback(2, free_port, expected=3, timeout_s=1.0)
    for thread in threads:
        thread.join(LIMIT_S)
    for reports in found:
        (absent,) = [one for one in compare(reports, 3) if one.name == "nodes"]
        assert absent.seen.startswith("1 of 3 did not come; these did: node-")


def test_the_whole_examination_of_two_nodes(free_port):
    wanted = Wanted(master=Master("127.0.0.1", free_port))
    outcomes = []
    second = threading.Thread(target=lambda: outcomes.append(examine(Examination(wanted, 2, 20.0))))
    second.start()
    outcomes.append(examine(Examination(wanted, 2, 20.0)))
    second.join(LIMIT_S)
    for outcome in outcomes:
        found = {one.name: one.verdict for one in outcome.findings}
        names = ("nodes", "same Paddle", "same plugin", "clocks of the nodes", "connections")
        assert [found[name] for name in names] == [Verdict.OK] * len(names)
        assert found["address of the master"] is Verdict.ERROR
        assert len(outcome.plain["nodes"]) == 2
