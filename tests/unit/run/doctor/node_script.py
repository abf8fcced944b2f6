"""One node of a rendezvous, with facts that are exchanged as the JSON on the command line says; prints its findings.

With `observed` the limits, GPUs and run folder of this process are looked at, and its own findings are printed too.
"""

import dataclasses
import fcntl
import json
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from observed import CPU_WHEEL, PYPI_WHEEL, WELL, exchanged

from pannsdist.run.doctor import examination
from pannsdist.run.doctor.checks import network as network_checks
from pannsdist.run.doctor.comparing import compare
from pannsdist.run.doctor.probing.folder import folder
from pannsdist.run.doctor.probing.gpus import gpus
from pannsdist.run.doctor.probing.machine import machine
from pannsdist.run.doctor.probing.network import network
from pannsdist.run.doctor.rendezvous import NoRendezvous, Rendezvous, compared
from pannsdist.run.nodes.master import Master


def main(given):
    """Shift the clock and the host name of this process alone, and compare."""
    now = time.time
    time.time = lambda: now() + given.get("clock_s", 0)
    socket.gethostname = lambda: given["name"]
    master = Master(given["host"], given["port"])
    facts = exchanged(replace(WELL, network=network(master)), **given.get("facts", {}))
    if "paddle" in given:
        facts = exchanged(facts, software={"paddle": replace(CPU_WHEEL, version=given["paddle"])})
    facts = exchanged(facts, folder={"path": given["folder"]})
    if "unlocked" in given:
        fcntl.flock = lambda *_: None  # as on a file system that ignores locks
    if "observed" in given:
        seen = {"gpus": gpus(), "machine": machine(), "folder": folder(Path(given["folder"]))}
        facts = exchanged(replace(facts, **seen), software={"paddle": PYPI_WHEEL})
    findings = (
        examination.examine(facts)
        if "observed" in given
        else [one for one in network_checks.check(facts) if one.name != "own host name" or given["name"] == "localhost"]
    )
    try:
        reports = compared(
            Rendezvous(master, given["nodes"], given["timeout_s"], given["listening"]), facts, given["folder"]
        )
        findings += compare(reports, given["nodes"])
    except NoRendezvous as reason:
        findings.append({"name": "not met", "verdict": "error", "seen": str(reason)})
    plain = [one if isinstance(one, dict) else dataclasses.asdict(one) for one in findings]
    print(json.dumps({one["name"]: one["seen"] for one in plain if one["verdict"] != "ok"}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
