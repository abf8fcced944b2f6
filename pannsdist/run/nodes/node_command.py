"""What a node of several starts: Paddle's launcher, with the addresses and ports that its peers have too."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pannsdist.run.launching.command import LOG_FOLDER, TRAIN, launcher_command
from pannsdist.run.launching.job_pool import Job
from pannsdist.run.launching.one_node import LAUNCHER_LOG
from pannsdist.run.nodes.addresses import interface_of
from pannsdist.runtime import cpu, launcher
from pannsdist.runtime.errors import shell_command

INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Place:
    """A node in a round: the addresses of all nodes in the order of their ranks, its own number, and a port.

    `behind_s` is what its clock has to be put forward by to be that of the master, as near as a message tells.
    """

    number: int
    rank: int
    hosts: tuple[str, ...]
    names: tuple[str, ...]
    port: int
    behind_s: float = 0.0

    @property
    def host(self) -> str:
        """The address of this node."""
        return self.hosts[self.rank]


@dataclass(frozen=True)
class NodeRun:
    """A run as this node starts it: settings, run folder, number of processes, and the command that the user typed."""

    config: Path
    overrides: Sequence[str]
    folder: Path
    processes: int
    command_line: str

    def job(self, place: Place) -> Job:
        """The launcher of this node; each node has a log folder of its own, as they may share a disk."""
        logs = self.folder / LOG_FOLDER / f"node-{place.host}"
        addresses = ["--ips", ",".join(place.hosts), "--start_port", str(place.port), "--host", place.host]
        options = addresses if len(place.hosts) > 1 else []
        command = launcher_command(self.processes, logs, options, [str(TRAIN), "-c", str(self.config), *self.overrides])
        environment = {launcher.COMMAND: self.command_line, **chosen_environment(place)}
        first = place.rank * self.processes
        log = logs / LAUNCHER_LOG
        return Job("run", command, log, logs, self.processes, environment, first, tied=True, behind_s=place.behind_s)

    def lines(self, place: Place, job: Job) -> str:
        """For the terminal: which nodes train together, and what is run here, to be typed."""
        first, size = job.first_rank, len(place.hosts) * self.processes
        last = first + self.processes - 1
        ranks = f"rank {first}" if first == last else f"ranks {first} to {last}"
        nodes = f"round {place.number}: {len(place.hosts)} nodes: {', '.join(place.names)}"
        shown = {name: os.environ[name] for name in (cpu.MKL_SWITCH,) if name in os.environ}
        shown |= chosen_environment(place)
        words = [f"{name}={value}" for name, value in shown.items()]
        own = f"this is node {place.rank + 1}, {ranks} of {size}; logs: {job.private}"
        return f"{nodes}\n{own}\n$ {shell_command(*words, *job.command)}"


def chosen_environment(place: Place) -> Mapping[str, str]:
    """Interface and threads of each process, unless the user chose them: without an interface gloo takes 127.0.0.1.

    One thread for each process is what Paddle sets itself: there is one process for each core.
    """
    chosen = {THREADS: "1"}
    if len(place.hosts) > 1:
        chosen |= dict.fromkeys(INTERFACES, interface_of(place.host))
    return {name: os.environ.get(name) or value for name, value in chosen.items()}
