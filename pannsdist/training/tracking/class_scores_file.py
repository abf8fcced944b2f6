"""`class_scores.csv`: the scores of each class, one line per epoch and class."""

from __future__ import annotations

from dataclasses import astuple, fields
from pathlib import Path

from pannsdist.contracts import EpochReport, StepReport
from pannsdist.contracts.predictions import ClassScores
from pannsdist.runtime import csv_text, reading, storage

COLUMNS = ("epoch", *(field.name for field in fields(ClassScores)))


class ClassScoresFile:
    """Lines are appended; opening the file drops those after `last_epoch`, as `ScoresFile` does.

    An undefined score is an empty cell. An epoch that is evaluated again replaces its lines.
    """

    def __init__(self, path: Path, last_epoch: int) -> None:
        self._path = path
        self._keep_up_to(last_epoch)

    def _keep_up_to(self, epoch: int) -> None:
        lines = reading.text_or_empty(self._path).split("\n")[1:-1]
        kept = [line for line in lines if _epoch_of(line) <= epoch]
        storage.write_atomic(self._path, csv_text.text_of([COLUMNS]) + "".join(f"{line}\n" for line in kept))
        self._last_epoch = epoch

    def steps(self, report: StepReport) -> None:
        """Ignored."""

    def epoch(self, report: EpochReport) -> None:
        """Write the line of each class."""
        if report.epoch <= self._last_epoch:
            self._keep_up_to(report.epoch - 1)
        if report.classes:
            rows = [(report.epoch, *astuple(one)) for one in report.classes]
            storage.append_line(self._path, csv_text.text_of(rows).removesuffix("\n"))
        self._last_epoch = report.epoch

    def flush(self) -> None:
        """Flush all lines to disk (fsync), since a checkpoint that follows counts on them."""
        storage.flush(self._path)

    def close(self) -> None:
        """Nothing to do: each line is written and closed at once."""


def _epoch_of(line: str) -> int:
    """The epoch of a line; each is one row, since labels are written without line ends."""
    number = line.partition(",")[0]
    return int(number) if number.isdecimal() else 0
