"""The page of a run as a file."""

from __future__ import annotations

from pathlib import Path

from pannsdist.registry import Catalog
from pannsdist.run.report.content import read_content
from pannsdist.run.report.page import page
from pannsdist.runtime import storage


def write_report(run: Path, output: Path | None) -> None:
    """Write the page of a run and say where. Raises BadRunFolder where there is no run, or none that has scores."""
    content = read_content(run, Catalog.installed())
    path = output or run / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    storage.write_atomic(path, page(content))
    for note in content.notes:
        print(f"note: {note}")
    print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB, {len(content.players)} clips")
