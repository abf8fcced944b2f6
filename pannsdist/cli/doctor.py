"""`pannsdist doctor`: what would make a run fail on this machine, or on several nodes, before it does."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from pannsdist.cli.arguments import from_one
from pannsdist.runtime import outputs, storage


def add(commands: Any) -> None:
    """Add the subcommand to the parser."""
    parser = commands.add_parser("doctor", help="examine this machine, or all nodes of a job, before a run")
    parser.add_argument("-c", "--config", type=Path, help="settings file (YAML), or recipe:NAME, to be loaded")
    parser.add_argument("--run-folder", type=Path, metavar="DIR", help="run folder (default: that of the settings)")
    parser.add_argument("--nproc", type=from_one, metavar="N", help="measure all-reduce between N processes, too")
    parser.add_argument("--prove", action="store_true", help="try what this project claims, on these devices: minutes")
    parser.add_argument("--nodes", type=from_one, default=1, metavar="N", help="compare N nodes: start it on each")
    parser.add_argument("--master", metavar="HOST:PORT", help="where the nodes connect: one of them")
    parser.add_argument("--join-timeout", type=from_one, default=60, metavar="S", help="seconds to wait (default: 60)")
    parser.add_argument("--json", action="store_true", help="print facts and findings as JSON")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.json", help="write this JSON to a file")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of settings")
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> bool:
    """Print the findings; False if one is an error."""
    if chosen.output is not None:
        outputs.require_suffix(chosen.output, (".json",), "-o")
        outputs.require_file(chosen.output, "-o")
    from pannsdist.run.doctor.examination import table
    from pannsdist.run.doctor.finding import Verdict, worst
    from pannsdist.run.doctor.nodes import Examination, examine
    from pannsdist.run.doctor.probing.node import Wanted
    from pannsdist.run.nodes.master import Master

    master = None if chosen.master is None else Master.parse(chosen.master)
    wanted = Wanted(chosen.config, chosen.overrides, chosen.run_folder, master)
    found = examine(Examination(wanted, chosen.nodes, chosen.join_timeout, chosen.nproc, chosen.prove))
    findings = [dataclasses.asdict(one) for one in found.findings]
    content = json.dumps({**found.plain, "findings": findings}, indent=1)
    print(content if chosen.json else "\n".join(table(found.findings)))
    if chosen.output is not None:
        storage.write_atomic(chosen.output, content + "\n")
    return worst(found.findings) is not Verdict.ERROR
