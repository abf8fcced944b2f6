"""A file of JSON lines, each of a step, in which nothing stands twice however often a run is killed and goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["StepLines"]


class StepLines:
    """JSON lines with a `step` and values by tag. What was written up to `from_step` is kept, and nothing beyond it.

    A line that a crash cut off is dropped.
    """

    def __init__(self, path: Path, from_step: int) -> None:
        self.kept = [line for line in _whole(path) if line["step"] <= from_step]
        """The lines that are kept, in the order in which they were written."""
        self._last = {tag: line["step"] for line in self.kept for tag in line}
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.writing")
        with aside.open("w", encoding="utf-8") as file:
            file.writelines(_line(line) for line in self.kept)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        self._file = path.open("a", encoding="utf-8")

    def add(self, step: int, values: Mapping[str, Any]) -> dict[str, Any]:
        """Write those of the values whose tag has none at this step or later, and give them."""
        fresh = {tag: value for tag, value in values.items() if step > self._last.get(tag, -1)}
        if fresh:
            self._file.write(_line({"step": step, **fresh}))
            self._last.update(dict.fromkeys(fresh, step))
        return fresh

    def flush(self) -> None:
        """Have every line on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write what is left and close the file."""
        self._file.close()


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values), ensure_ascii=False) + "\n"


def _whole(path: Path) -> list[dict[str, Any]]:
    """The lines of a file, up to its end or to where it was cut off."""
    found: list[dict[str, Any]] = []
    text_of_all = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    for text in text_of_all.split("\n"):
        try:
            line = json.loads(text)
        except ValueError:
            break
        if not isinstance(line, dict) or not isinstance(line.get("step"), int):
            break
        found.append(line)
    return found
