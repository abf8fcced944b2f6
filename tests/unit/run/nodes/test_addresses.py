"""HOST:PORT of the master, and the interfaces of this machine."""

import socket

import pytest

from pannsdist.run.nodes.addresses import Master, free_port, interface_of, interfaces, ipv4_of, listen
from pannsdist.runtime.errors import SettingsError, UserError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("10.0.0.1:29400", "10.0.0.1", 29400),
        ("gpu-1.cluster:1", "gpu-1.cluster", 1),
        ("[fd00::1]:29400", "fd00::1", 29400),
        ("[fe80::1%eth0]:29400", "fe80::1%eth0", 29400),
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


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.1.1", "[::1]"])
def test_the_loopback_interface_is_another_machine_on_every_node(host):
    with pytest.raises(SettingsError, match="another machine on every node"):
        Master.parse(f"{host}:29400")


def test_etcd_is_refused_in_one_sentence():
    with pytest.raises(SettingsError) as refused:
        Master.parse("etcd://10.0.0.1:2379")
    assert refused.value.wrong == "--master is etcd://..., but pannsdist train counts the nodes itself, without etcd"


def test_a_name_that_is_not_known():
    with pytest.raises(UserError, match=r"knows no address of 'no-such-host\.invalid'"):
        Master("no-such-host.invalid", 29400).resolve()


def test_another_machine_is_not_this_one():
    assert Master("192.0.2.1", 29400).own() is None  # of the network for documentation


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} of this node cannot be used"):
            listen(Master("gpu1", port), (socket.AF_INET, ("127.0.0.1", port)))


def test_the_interfaces_of_this_machine():
    (name,) = {name for name, address in interfaces() if address == "127.0.0.1"}
    assert name in dict(socket.if_nameindex()).values()
    assert interface_of("127.0.0.1") == interface_of("::ffff:127.0.0.1") == name
    assert ipv4_of("127.0.0.1") == "127.0.0.1"
    with pytest.raises(UserError, match=r"no network interface of this machine has the address 192\.0\.2\.1"):
        interface_of("192.0.2.1")


def test_a_free_port_can_be_bound():
    with socket.create_server(("127.0.0.1", free_port("127.0.0.1"))):
        pass
