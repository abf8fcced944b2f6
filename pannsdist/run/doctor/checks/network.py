"""The network as one node sees it: its own name, and the rendezvous of the nodes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from pannsdist.run.doctor.facts import Facts, Master, Network
from pannsdist.run.doctor.finding import Finding, error, ok, warning
from pannsdist.runtime.errors import shell_command


def check(facts: Facts) -> Iterator[Finding]:
    """Findings about the network. What only matters between nodes is an error where a master is given."""
    network = facts.network
    yield _own_name(network)
    if network.master is not None:
        yield _master_address(network.master)
        if network.master.is_here:
            yield _port(network.master)


def is_loopback(address: str) -> bool:
    """Whether an address is of the machine itself alone, such as 127.0.0.1."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _own_name(network: Network) -> Finding:
    name, right = "own host name", f"in /etc/hosts, give {network.host} the address that the other nodes reach"
    several = network.master is not None
    report = error if several else warning
    if not network.addresses:
        return report(name, f"{network.host} does not resolve to an address", right)
    seen = f"{network.host} resolves to {', '.join(network.addresses)}"
    if not all(map(is_loopback, network.addresses)):
        return ok(name, seen)
    if several:
        return error(name, f"{seen}: other nodes that are told this address reach themselves", right)
    return warning(name, f"{seen}: it serves one machine, not several", right)


def _master_address(master: Master) -> Finding:
    name = "address of the master"
    if not master.addresses:
        right = f"give its address in place of {master.host}, or a line in /etc/hosts"
        return error(name, f"{master.host} does not resolve to an address", right)
    seen = f"{master.host} is {', '.join(master.addresses)}{', this node' if master.is_here else ''}"
    if any(map(is_loopback, master.addresses)):
        right = "give --master the address that the other nodes reach: hostname -I"
        return error(name, f"{seen}: on every node this is the node itself", right)
    return ok(name, seen)


def _port(master: Master) -> Finding:
    if not master.refused:
        return ok("port of the master", f"{master.port} is free")
    right = f"take another port, or see who has it: {shell_command('ss', '-ltnp', f'sport = :{master.port}')}"
    return error("port of the master", f"{master.port} cannot be used: {master.refused}", right)
