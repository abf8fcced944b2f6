"""`scores.jsonl`: all scores of a run, one line per epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pannsdist.contracts import EpochReport, StepReport
from pannsdist.runtime import reading, storage
from pannsdist.runtime.errors import BadRunFolder
from pannsdist.runtime.foreign import parse_json
from pannsdist.runtime.json_files import JsonFile

SCORES_FILE = "scores.jsonl"


def read_scores(path: Path) -> list[dict[str, Any]]:
    """The lines of a run's scores file; empty if there is no file. An incomplete last line is skipped.

    Raises CannotRead, BadRunFolder for a damaged file.
    """
    return SCORES.read_lines(path)


def _scores(line: Mapping[str, Any]) -> dict[str, Any]:
    return {**line, "epoch": int(line["epoch"]), "seconds": float(line["seconds"])}


REPAIR = "start the run again, which drops damaged lines; or remove its folder, and train it again"
SCORES = JsonFile(_scores, BadRunFolder, REPAIR)


def _epoch_of(line: str) -> float:
    """The epoch of a line; infinity for an incomplete line."""
    try:
        return float(parse_json(line.encode(), "a line")["epoch"])
    except (ValueError, TypeError, KeyError):
        return math.inf


class ScoresFile:
    """One line per epoch, appended. Opening it drops the lines after `last_epoch`.

    An epoch that is evaluated again replaces its line: a run that a limit of time or steps ended within an epoch was
    evaluated there, and completes the epoch when it goes on. The line holds that evaluation under `earlier`, since its
    model may stay the best.
    """

    def __init__(self, path: Path, last_epoch: int) -> None:
        self._path = path
        self._keep_up_to(last_epoch)

    def _keep_up_to(self, epoch: int) -> None:
        kept = {_epoch_of(line): line for line in reading.text_or_empty(self._path).splitlines()}
        storage.write_atomic(self._path, "".join(f"{line}\n" for number, line in kept.items() if number <= epoch))
        self._last_epoch = epoch

    def _earlier(self, report: EpochReport) -> list[dict[str, Any]]:
        """The evaluations of the epoch at other steps, that the file has."""
        lines = reading.text_or_empty(self._path).splitlines()
        found = [parse_json(line.encode(), "a line") for line in lines if _epoch_of(line) == report.epoch]
        known = [one for line in found[-1:] for one in (*line.pop("earlier", ()), line)]
        return [one for one in known if one["step"] != report.step]

    def steps(self, report: StepReport) -> None:
        """Ignored."""

    def epoch(self, report: EpochReport) -> None:
        """Write epoch, step, all scores and seconds; a score that is not finite is null."""
        earlier = self._earlier(report) if report.epoch <= self._last_epoch else []
        if report.epoch <= self._last_epoch:
            self._keep_up_to(report.epoch - 1)
        scores = {name: value if math.isfinite(value) else None for name, value in report.scores.items()}
        record: dict[str, Any] = {
            "epoch": report.epoch,
            "step": report.step,
            **scores,
            "seconds": round(report.seconds, 3),
        }
        record |= {"earlier": earlier} if earlier else {}
        storage.append_line(self._path, json.dumps(record))
        self._last_epoch = report.epoch

    def flush(self) -> None:
        """Flush all lines to disk (fsync), since a checkpoint that follows counts on them."""
        storage.flush(self._path)

    def close(self) -> None:
        """Nothing to do: each line is written and closed at once."""
