"""`pannsdist report`: one HTML page about a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """The sub-command for argparse."""
    parser: argparse.ArgumentParser = commands.add_parser("report", help="one HTML page about a run")
    parser.add_argument("folder", type=Path, help="the folder of a run, such as runs/NAME")
    parser.add_argument("-o", "--output", type=Path, help="the page to write (default: report.html in that folder)")
    parser.set_defaults(run=_report)


def _report(chosen: argparse.Namespace) -> None:
    from pannsdist.run.report.writing import write_report

    write_report(chosen.folder, chosen.output)
