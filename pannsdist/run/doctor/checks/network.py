"""The network as one node sees it: its own name, and the rendezvous of the nodes."""

from __future__ import annotations

from collections.abc import Iterator

from pannsdist.run.doctor.facts import Facts, Master, Network
from pannsdist.run.doctor.finding import Finding, error, ok, warning
from pannsdist.run.nodes.addresses import is_loopback
from pannsdist.runtime.errors import shell_command


def check(facts: Facts) -> Iterator[Finding]:
    """Findings about the network."""
    network = facts.network
    yield _own_name(network)
    if network.master is not None:
        yield _master_address(network.master, network.host)
        if network.master.is_here:
            yield _port(network.master)


def _own_name(network: Network) -> Finding:
    name, right = "own host name", f"in /etc/hosts, give {network.host} the address that the other nodes reach"
    if not network.addresses:
        return warning(name, f"{network.host} does not resolve to an address", right)
    seen = f"{network.host} resolves to {', '.join(network.addresses)}"
    if not all(map(is_loopback, network.addresses)):
        return ok(name, seen)
    return warning(name, f"{seen}: programs of other nodes that are given this address reach themselves", right)


def _master_address(master: Master, own_name: str) -> Finding:
    name = "address of the master"
    if not master.addresses:
        right = f"give its address in place of {master.host}, or a line in /etc/hosts"
        return error(name, f"{master.host} does not resolve to an address", right)
    seen = f"{master.host} is {', '.join(master.addresses)}{', this node' if master.is_here else ''}"
    if master.is_here and master.host == own_name and all(map(is_loopback, master.addresses)):  # as Debian sets it up
        right = f"give {own_name} the address that the other nodes reach, in /etc/hosts of every node"
        return warning(name, f"{seen}: this node listens on all interfaces; the others need another address", right)
    if any(map(is_loopback, master.addresses)):
        right = "give --master the address that the other nodes reach: hostname -I"
        return error(name, f"{seen}: on every node this is the node itself", right)
    return ok(name, seen)


def _port(master: Master) -> Finding:
    if not master.refused:
        return ok("port of the master", f"{master.port} is free")
    right = f"take another port, or see who has it: {shell_command('ss', '-ltnp', f'sport = :{master.port}')}"
    return error("port of the master", f"{master.port} cannot be used: {master.refused}", right)
