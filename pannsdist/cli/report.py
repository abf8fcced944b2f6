"""`pannsdist report`: an HTML report of a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the subcommand to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser("report", help="write an HTML report of a run")
    parser.add_argument("folder", type=Path, help="run folder, such as runs/NAME")
    parser.add_argument("-o", "--output", type=Path, help="output file (default: report.html in the run folder)")
    parser.set_defaults(run=_report)


def _report(chosen: argparse.Namespace) -> None:
    from pannsdist.run.report.writing import write_report

    write_report(chosen.folder, chosen.output)
