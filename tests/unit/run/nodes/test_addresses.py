"""The interfaces of this machine, and free ports."""

import socket

import pytest

from pannsdist.run.nodes.addresses import free_port, interface_of, interfaces, ipv4_of
from pannsdist.runtime.errors import UserError


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
