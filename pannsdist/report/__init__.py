"""`pannsdist report`: one page about a run, which needs nothing beside itself: no network, no script, no other file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """The sub-command for argparse."""
    parser: argparse.ArgumentParser = commands.add_parser("report", help="one HTML page about a run")
    parser.add_argument("folder", type=Path, help="the folder of a run, such as runs/NAME")
    parser.add_argument("-o", "--output", type=Path, help="the page to write (default: report.html in that folder)")
    parser.set_defaults(run=lambda chosen: write_report(chosen.folder, chosen.output))


def write_report(run: Path, output: Path | None) -> None:
    """Write the page of a run and say where. Raises BadRunFolder where there is no run, or none that has scores."""
    from pannsdist import storage
    from pannsdist.registry import Catalog
    from pannsdist.report.material import gather
    from pannsdist.report.page import page

    material = gather(run, Catalog.installed())
    path = output or run / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    storage.write_whole(path, page(material))
    for note in material.notes:
        print(f"note: {note}")
    print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB, {len(material.players)} clips")
