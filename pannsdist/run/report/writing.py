"""Writing the HTML report of a run."""

from __future__ import annotations

from pathlib import Path

from pannsdist.registry import Catalog
from pannsdist.run.report.content import read_content
from pannsdist.run.report.page import page
from pannsdist.runtime import outputs, reading, storage


def write_report(run: Path, output: Path | None) -> Path:
    """Write the report of a run, print its path, and return it.

    Raises UserError for an output that is no HTML file or cannot be written, BadRunFolder if there is no run, or it has
    no scores yet.
    """
    path = output or run / "report.html"
    outputs.require_suffix(path, (".html", ".htm"), "-o")
    if output or reading.is_folder(run):
        outputs.require_folder(path.parent, "-o")
        if reading.is_folder(path.parent):
            outputs.require_file(path, "-o")
    content = read_content(run, Catalog.installed())
    storage.make_folder(path.parent)
    text = page(content)
    storage.write_atomic(path, text)
    for note in content.notes:
        print(f"note: {note}")
    print(f"{path}: {len(text.encode()) / 2**20:.1f} MiB, {len(content.players)} clips")
    return path
