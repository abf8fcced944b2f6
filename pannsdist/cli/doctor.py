"""`pannsdist doctor`: what would make a run fail on this machine, before it does."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the subcommand to the parser."""
    parser = commands.add_parser("doctor", help="examine this machine, and name what would make a run fail")
    parser.add_argument("-c", "--config", type=Path, help="settings file (YAML), or recipe:NAME, to be loaded")
    parser.add_argument("--run-folder", type=Path, metavar="DIR", help="run folder (default: that of the settings)")
    parser.add_argument("--json", action="store_true", help="print facts and findings as JSON")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of settings")
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> bool:
    """Print the findings; False if one is an error."""
    from pannsdist.run.doctor.examination import examine, table
    from pannsdist.run.doctor.facts import to_plain
    from pannsdist.run.doctor.finding import Verdict, worst
    from pannsdist.run.doctor.probing.node import Wanted, observe

    facts = observe(Wanted(chosen.config, chosen.overrides, chosen.run_folder))
    findings = examine(facts)
    if chosen.json:
        content = {"facts": to_plain(facts), "findings": [dataclasses.asdict(one) for one in findings]}
        print(json.dumps(content, indent=1, ensure_ascii=False))
    else:
        print("\n".join(table(findings)))
    return worst(findings) is not Verdict.ERROR
