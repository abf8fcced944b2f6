"""HOST:PORT of the master: how it is written, and where it is."""

import os
import shutil
import socket
import subprocess
import sys

import pytest

from pannsdist.run.nodes.master import Master, UnknownName, listen, parse_hosts
from pannsdist.runtime.errors import SettingsError, UserError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("10.0.0.1:29400", "10.0.0.1", 29400),
        ("gpu-1.cluster:1", "gpu-1.cluster", 1),
        ("[fd00::1]:29400", "fd00::1", 29400),
        ("[fe80::1%eth0]:29400", "fe80::1%eth0", 29400),
        ("pannsdist-0.pannsdist.:29400", "pannsdist-0.pannsdist.", 29400),
        ("gpu_1:29400", "gpu_1", 29400),
        ("knotenä:29400", "knotenä", 29400),
    ],
)
def test_a_name_or_an_address_with_a_port(text, host, port):
    assert Master.parse(text) == Master(host, port)
    assert str(Master.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["10.0.0.1", "10.0.0.1:", ":29400", "10.0.0.1:0", "10.0.0.1:65536", "fd00::1:29400", "a b:1", "host:1x"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(SettingsError, match="--master is") as refused:
        Master.parse(text)
    assert "HOST:PORT" in refused.value.right


IMPOSSIBLE = (
    "10.0.0.300",
    "10.0.0",
    "a..b",
    ".a",
    "-a",
    "a-.b",
    "a!b",
    "a" * 64,
    ".".join(["a" * 60] * 5),
    "gpu_1\x00",
)


@pytest.mark.parametrize("host", [*IMPOSSIBLE, "[fd00::1::2]", "[10.0.0.1]", "[gpu1]", "[fd00::g]"])
def test_what_can_be_the_name_of_no_machine_is_refused_at_once(host):
    with pytest.raises(SettingsError, match="--master is"):
        Master.parse(f"{host}:29400")


def test_the_hosts_of_a_run():
    assert parse_hosts("") == ()
    assert parse_hosts("gpu1,10.0.0.2,[fd00::1],fd00::2") == ("gpu1", "10.0.0.2", "fd00::1", "fd00::2")


@pytest.mark.parametrize(
    "text", ["gpu1,", ",", "gpu1,gpu1", "fd00::1,[fd00::1]", *(f"gpu1,{host}" for host in IMPOSSIBLE)]
)
def test_hosts_that_cannot_be_are_refused(text):
    with pytest.raises(SettingsError, match="--hosts names"):
        parse_hosts(text)


@pytest.mark.parametrize("host", ["localhost", "Localhost.", "127.0.0.1", "127.0.1.1", "[::1]"])
def test_the_loopback_interface_is_another_machine_on_every_node(host):
    with pytest.raises(SettingsError, match="another machine on every node"):
        Master.parse(f"{host}:29400")


def test_etcd_is_refused_in_one_sentence():
    with pytest.raises(SettingsError) as refused:
        Master.parse("etcd://10.0.0.1:2379")
    assert refused.value.wrong == "--master is etcd://..., but pannsdist counts the nodes itself, without etcd"


def test_a_name_that_is_not_known():
    with pytest.raises(UnknownName, match=r"knows no address of 'no-such-host\.invalid'"):
        Master("no-such-host.invalid", 29400).resolve()


def test_another_machine_is_not_this_one():
    assert Master("192.0.2.1", 29400).own() is None  # of the network for documentation


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} of this node cannot be used"):
            listen(Master("gpu1", port), (socket.AF_INET, ("127.0.0.1", port)))


WAITING = """
from pannsdist.run.nodes.master import Master

master = Master.parse("pod-0.late:29400")
print("left:", master.wait_for_name(0.1, lambda text: print(text, flush=True)))


def say(text):
    with open("/etc/hosts", "a") as names:
        names.write("192.0.2.7 pod-0.late\\n")


left_s = master.wait_for_name(60.0, say)
print(0 < left_s < 60, master.wait_for_name(60.0, print), master.resolve()[0][1])
"""


def test_a_name_that_becomes_known_is_waited_for(tmp_path):
    """With the system's resolver, and a file of names of its own."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root may mount a file of names")
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
    command = 'mount --bind "$0" /etc/hosts && exec "$1" -c "$2"'
    words = ["unshare", "--mount", "sh", "-ec", command, tmp_path / "hosts", sys.executable, WAITING]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no file can be mounted here: {done.stderr}")
    said, left, after = done.stdout.splitlines()
    assert "knows no address of 'pod-0.late'" in said
    assert said.endswith("; waiting up to 0.1 s until it does")
    assert (left, after) == ("left: 0.0", "True 60.0 ('192.0.2.7', 29400)"), done.stderr
