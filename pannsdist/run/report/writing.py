"""Writing the HTML report of a run."""

from __future__ import annotations

from pathlib import Path

from pannsdist.registry import Catalog
from pannsdist.run.report.content import read_content
from pannsdist.run.report.page import page
from pannsdist.runtime import storage


def write_report(run: Path, output: Path | None) -> None:
    """Write the report of a run and print its path. Raises BadRunFolder if there is no run, or it has no scores yet."""
    content = read_content(run, Catalog.installed())
    path = output or run / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    storage.write_atomic(path, page(content))
    for note in content.notes:
        print(f"note: {note}")
    print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB, {len(content.players)} clips")
