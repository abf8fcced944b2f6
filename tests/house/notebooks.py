"""Notebooks of the documentation, read as pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from architecture import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "en").glob("*.ipynb"))


def twin(path: Path) -> Path:
    """The Chinese notebook of an English one."""
    return path.parents[1] / "zh" / path.name


def cells(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook."""
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def code_cells(path: Path) -> list[dict[str, Any]]:
    """The cells with code."""
    return [cell for cell in cells(path) if cell["cell_type"] == "code"]


def as_page(path: Path) -> str:
    """A notebook as a page of Markdown."""
    texts = (("".join(cell["source"]), cell["cell_type"]) for cell in cells(path))
    return "\n\n".join(f"```python\n{text}\n```" if kind == "code" else text for text, kind in texts) + "\n"
