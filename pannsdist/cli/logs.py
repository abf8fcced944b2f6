"""`pannsdist logs`: what the processes of a run have printed, as one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pannsdist.cli.arguments import from_one, from_zero


def add(commands: Any) -> None:
    """Add the subcommand to the parser."""
    what = "what all processes of a run have printed, in the order of time"
    parser: argparse.ArgumentParser = commands.add_parser("logs", help=what)
    parser.add_argument("folder", type=Path, help="run folder, such as runs/NAME")
    parser.add_argument("--rank", type=from_zero, metavar="N", help="of one process alone")
    parser.add_argument("--follow", action="store_true", help="go on with what they print, until the run ends")
    parser.add_argument("--tail", type=from_one, metavar="N", help="begin with the last N lines")
    parser.set_defaults(run=_logs)


def _logs(chosen: argparse.Namespace) -> None:
    from pannsdist.run.logs import followed, merged

    for line in (followed if chosen.follow else merged)(chosen.folder, chosen.rank, chosen.tail):
        print(line, flush=chosen.follow)
