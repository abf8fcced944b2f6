"""JSON lines by step, without duplicates when a run is resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pannsdist.runtime import storage
from pannsdist.runtime.foreign import parse_json
from pannsdist.runtime.reading import complete_lines

__all__ = ["StepLines"]


class StepLines:
    """JSON lines with a `step` and values by tag. Lines up to `from_step` are kept, later ones are dropped.

    A line truncated by a crash is dropped.
    """

    def __init__(self, path: Path, from_step: int) -> None:
        self.kept = [line for line in _complete_lines(path) if line["step"] <= from_step]
        """The kept lines, in the order of the file."""
        self._last = {tag: line["step"] for line in self.kept for tag in line}
        storage.make_folder(path.parent)
        storage.write_atomic(path, "".join(map(_line, self.kept)))
        self._file = storage.opened(path, "ab")

    def add(self, step: int, values: Mapping[str, Any]) -> dict[str, Any]:
        """Write the values whose tags have no value at this step or later; return these values."""
        fresh = {tag: value for tag, value in values.items() if step > self._last.get(tag, -1)}
        if fresh:
            self._file.write(storage.encoded(_line({"step": step, **fresh})))
            self._last.update(dict.fromkeys(fresh, step))
        return fresh

    def flush(self) -> None:
        """Flush all lines to disk (fsync)."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flush and close the file."""
        self._file.close()


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values), ensure_ascii=False) + "\n"


def _complete_lines(path: Path) -> list[dict[str, Any]]:
    """Complete lines of a file, up to the first truncated one."""
    found: list[dict[str, Any]] = []
    for raw in complete_lines(path):
        try:
            line = parse_json(raw, "a line")
        except ValueError:
            break
        if not isinstance(line, dict) or not isinstance(line.get("step"), int):
            break
        found.append(line)
    return found
