"""Start of a node: everything is checked before it connects to the others."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pannsdist import settings
from pannsdist.run import one_run
from pannsdist.run.launching.devices import VISIBLE, choose_devices, this_machine
from pannsdist.run.launching.one_node import refuse_launcher
from pannsdist.run.nodes.client import Client
from pannsdist.run.nodes.master import Master, UnknownName, addresses_of, listen, parse_hosts
from pannsdist.run.nodes.membership import Expected, Rules
from pannsdist.run.nodes.node_command import NodeRun
from pannsdist.run.nodes.server import Facts, Server
from pannsdist.run.nodes.sizes import parse_nodes, refuse_uneven_batch
from pannsdist.run.nodes.supervisor import Supervisor
from pannsdist.runtime import console, launcher
from pannsdist.runtime.errors import SettingsError
from pannsdist.runtime.folder_lock import refuse_held
from pannsdist.runtime.redaction import without_credentials, without_secrets
from pannsdist.settings.plain import flat

if TYPE_CHECKING:
    from pannsdist.settings.schema import Settings


@dataclass(frozen=True)
class NodesRequest:
    """What the user typed, equally on every node, but for `gpus`."""

    config: Path
    overrides: Sequence[str]
    nodes: str
    master: str
    nproc: int | None
    gpus: Sequence[str]
    hosts: str
    max_restarts: int
    join_timeout_s: float
    command_line: str
    dry_run: bool


def train_on_nodes(request: NodesRequest) -> int:
    """Check the run, connect to the other nodes, and train; the exit code, equal on all nodes.

    Raises UserError for what this node can see by itself, before it connects to the others.
    """
    from pannsdist.run.same_run import run_path

    refuse_launcher()
    if not (request.nodes and request.master):
        given, missing = ("--nodes", "--master HOST:PORT") if request.nodes else ("--master", "--nodes N")
        raise SettingsError(f"{given} is given without {missing}", "give both, on every node")
    master, (least, most) = Master.parse(request.master), parse_nodes(request.nodes)
    names = parse_hosts(request.hosts)
    wanted, _ = settings.load(request.config, request.overrides)
    machine, counts = this_machine(), range(least, most + 1)
    if names and len(names) != most:
        wrong = f"--hosts names {len(names)} nodes, but --nodes is {request.nodes}"
        raise SettingsError(wrong, "name all of them, or leave --hosts out")
    if machine.hides_gpus:
        raise SettingsError(f"{VISIBLE} hides the GPUs, which Paddle's launcher would use nevertheless", "unset it")
    devices = choose_devices(machine, wanted.train, request.nproc, request.gpus, counts)
    refuse_uneven_batch(wanted.train, counts, devices.processes)
    os.environ[launcher.COMMAND] = request.command_line
    with devices.selected():
        if not devices.gpus:
            os.environ.pop(VISIBLE, None)  # an empty list is a GPU for Paddle 3.3.1's launcher
        size = most * devices.processes
        plan = one_run.checked(request.config, request.overrides, size, downloads=not request.dry_run)
        if request.dry_run:
            one_run.carry_out(plan, dry_run=True)
            return 0
        run = NodeRun(
            request.config, request.overrides, run_path(plan.settings), devices.processes, request.command_line
        )
        console.print_main(f"{devices} on each of {request.nodes} nodes; they connect to {master}")
        expected = tuple(Expected(name, addresses_of(name)) for name in names)
        rules = Rules(least, most, request.max_restarts, request.join_timeout_s, expected)
        return _supervisor(run, master, rules, wanted).run()


def _supervisor(run: NodeRun, master: Master, rules: Rules, wanted: Settings) -> Supervisor:
    facts, secret = dict(facts_of(rules, run.processes, wanted)), secrets.token_hex(16)

    def open_server() -> Server | None:
        """The server, if this node is the master as far as is known now. Raises UserError where it cannot be."""
        try:
            own = master.own()
        except UnknownName:
            return None
        if own is None:
            return None
        refuse_held(run.folder)
        return Server(listen(master, own), Facts(facts, secret), rules)

    return Supervisor(run, Client(master, facts, secret), open_server, rules.join_timeout_s)


def facts_of(rules: Rules, processes: int, wanted: Settings) -> Iterator[tuple[str, str]]:
    """What has to be equal on all nodes. Of a setting only a checksum leaves this machine, and of a secret nothing."""
    from pannsdist.run.history import versions

    yield "--nodes", rules.nodes
    yield "--nproc", str(processes)
    yield "--hosts", ",".join(one.name for one in rules.expected) or "none"
    for name, version in versions().items():
        yield f"the version of {name}", ".".join(version.split(".")[:2]) if name == "python" else version
    for key, value in flat(without_secrets(settings.to_dict(wanted))).items():
        yield f"setting {key}", hashlib.sha256(without_credentials(repr(value)).encode()).hexdigest()[:12]
