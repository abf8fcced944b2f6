"""A Slurm cluster for tests: its daemons, one slurmd on each machine of network namespaces."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import names
import network

DAEMONS = ("slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel", "squeue")
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={controller}({address})
SlurmUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/linear
MpiDefault=none
ReturnToService=2
KillWait=20
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
PartitionName=tests Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why there can be no cluster here; empty if there can."""
    absent = [name for name in DAEMONS if not shutil.which(name)]
    return f"no {', '.join(absent)}: install slurm-wlm" if absent else network.missing()


@dataclass(frozen=True)
class Cluster:
    """The machines, each a node under the name of its namespace; the first has the controller too."""

    hosts: list[network.Host]
    folder: Path

    def run(self, *command: object, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
        """Run a command of Slurm on the first node; what it prints."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.hosts[0].namespace, *map(str, command)],
            cwd=cwd or self.folder,
            env={**os.environ, **(env or {}), "SLURM_CONF": str(self.folder / "slurm.conf")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def state(self, job: str) -> dict[str, str]:
        """The fields of a job."""
        words = self.run("scontrol", "show", "job", "-o", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait_for_state(self, job: str, *states: str) -> dict[str, str]:
        """Return when a job has one of the states."""
        limit = time.monotonic() + network.LIMIT_S
        while (found := self.state(job))["JobState"] not in states:
            assert time.monotonic() < limit, found
            time.sleep(0.2)
        return found


@contextmanager
def cluster(folder: Path, nodes: int = 2) -> Iterator[Cluster]:
    """A cluster of so many nodes of one core each, whose daemons and jobs are gone at the end."""
    with (
        network.hosts(nodes, "10.78.0") as hosts,
        names.known(hosts, {host.namespace: host.address for host in hosts}),
    ):
        yield _started(Cluster(hosts, folder))


def _started(found: Cluster) -> Cluster:
    folder, hosts = found.folder, found.hosts
    (folder / "state").mkdir()
    text = CONFIGURATION.format(controller=hosts[0].namespace, address=hosts[0].address, folder=folder)
    text += "".join(f"NodeName={host.namespace} NodeAddr={host.address} CPUs=1\n" for host in hosts)
    (folder / "slurm.conf").write_text(text)
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # not used; looking for one fails here
    _daemon(hosts[0], folder, "slurmctld")
    for host in hosts:
        _daemon(host, folder, "slurmd")
    limit = time.monotonic() + 60
    while found.run("sinfo", "-h", "-o", "%D %t").split() != [str(len(hosts)), "idle"]:
        assert time.monotonic() < limit, found.run("sinfo")
        time.sleep(0.2)
    return found


def _daemon(host: network.Host, folder: Path, name: str) -> None:
    """Start a daemon under the host's own name."""
    command = f'hostname {host.namespace}; exec {name} -D -f "$SLURM_CONF"'
    printed = folder / f"{name}.{host.namespace}.out"
    with printed.open("wb") as output:
        process = subprocess.Popen(
            ["ip", "netns", "exec", host.namespace, "unshare", "--uts", "sh", "-c", command],
            env={**os.environ, "SLURM_CONF": str(folder / "slurm.conf")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    host.started.append(network.Command(host, process, printed))
