"""`scores.jsonl`: every score of a run, a line for each epoch."""

from __future__ import annotations

import json
import math
from pathlib import Path

from pannsdist.contracts import EpochReport, StepReport
from pannsdist.runtime import storage


def _epoch_of(line: str) -> float:
    """The epoch of a line; infinity for one that a crash cut off."""
    try:
        return float(json.loads(line)["epoch"])
    except (ValueError, TypeError, KeyError):
        return math.inf


class ScoresFile:
    """`scores.jsonl`: one line for each epoch. Made anew up to `last_epoch`, so that no epoch stands in it twice."""

    def __init__(self, path: Path, last_epoch: int) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if _epoch_of(line) <= last_epoch]
        storage.write_atomic(path, "".join(f"{line}\n" for line in kept))

    def steps(self, report: StepReport) -> None:
        """Only epochs are written."""

    def epoch(self, report: EpochReport) -> None:
        """Epoch, step and every score; a score that is no number is null."""
        scores = {name: value if math.isfinite(value) else None for name, value in report.scores.items()}
        record = {"epoch": report.epoch, "step": report.step, **scores, "seconds": round(report.seconds, 3)}
        storage.append_line(self._path, json.dumps(record))

    def flush(self) -> None:
        """Each line was closed as it was written."""

    def close(self) -> None:
        """Each line was closed as it was written."""
