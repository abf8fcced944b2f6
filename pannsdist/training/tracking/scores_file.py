"""`scores.jsonl`: all scores of a run, one line per epoch."""

from __future__ import annotations

import json
import math
from pathlib import Path

from pannsdist.contracts import EpochReport, StepReport
from pannsdist.runtime import storage


def _epoch_of(line: str) -> float:
    """The epoch of a line; infinity for an incomplete line."""
    try:
        return float(json.loads(line)["epoch"])
    except (ValueError, TypeError, KeyError):
        return math.inf


class ScoresFile:
    """Appends one line per epoch. Opening it drops lines after `last_epoch`, so that no epoch is in the file twice."""

    def __init__(self, path: Path, last_epoch: int) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if _epoch_of(line) <= last_epoch]
        storage.write_atomic(path, "".join(f"{line}\n" for line in kept))

    def steps(self, report: StepReport) -> None:
        """Ignored."""

    def epoch(self, report: EpochReport) -> None:
        """Append epoch, step, all scores and seconds; a score that is not finite is null."""
        scores = {name: value if math.isfinite(value) else None for name, value in report.scores.items()}
        record = {"epoch": report.epoch, "step": report.step, **scores, "seconds": round(report.seconds, 3)}
        storage.append_line(self._path, json.dumps(record))

    def flush(self) -> None:
        """Nothing to do: each line is written and closed at once."""

    def close(self) -> None:
        """Nothing to do: each line is written and closed at once."""
