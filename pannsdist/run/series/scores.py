"""Results of runs: scores of the best and the last epoch, and their mean and deviation over runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pannsdist.run.testing import read_test_scores
from pannsdist.runtime.errors import BadRunFolder
from pannsdist.runtime.figures import score
from pannsdist.runtime.redaction import published
from pannsdist.training.best import BestTracker
from pannsdist.training.tracking.scores_file import SCORES_FILE, read_scores


@dataclass(frozen=True)
class EpochScores:
    """The scores of one epoch; None for a score that is not finite."""

    epoch: int
    scores: Mapping[str, float | None]


@dataclass(frozen=True)
class Result:
    """The result of a run; `best` is None if the selection metric is finite in no epoch.

    `test` are the scores of the best model on the test split; None if it was not evaluated.
    """

    name: str
    folder: Path
    best: EpochScores | None
    last: EpochScores
    seconds: float
    test: EpochScores | None = None

    def record(self) -> dict[str, Any]:
        """The result as a JSON record."""
        best = vars(self.best) if self.best else None
        found = {"run": published(str(self.folder)), "best": best, "last": vars(self.last), "seconds": self.seconds}
        return {**found, "test": vars(self.test)} if self.test else found


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1) of one score over runs.

    Runs without a finite value are listed in `missing`, and there is no mean then; one run has no deviation.
    """

    mean: float | None
    deviation: float | None
    missing: tuple[str, ...]

    def __str__(self) -> str:
        if self.mean is None:
            return "undefined in " + ", ".join(self.missing)
        return score(self.mean) + ("" if self.deviation is None else f" +- {score(self.deviation)}")


def read_result(name: str, folder: Path, metric: str, higher_is_better: bool) -> Result:
    """A run's best epoch, selected as in the run, and its last. Raises BadRunFolder if there are no epochs."""
    epochs = read_scores(folder / SCORES_FILE)
    if not epochs:
        raise BadRunFolder(f"{folder / SCORES_FILE} has no epochs", "remove the run's folder, and start again")
    read = [EpochScores(int(line["epoch"]), _scores(line)) for line in epochs]
    tracker = BestTracker(metric, higher_is_better)
    best = None
    for one, line in zip(read, epochs, strict=True):
        earlier = [EpochScores(one.epoch, _scores(found)) for found in line.get("earlier", ())]
        for candidate in (*earlier, one):
            value = candidate.scores.get(metric)
            if tracker.update(candidate.epoch, 0, {metric: math.nan if value is None else value}):
                best = candidate
    tested = read_test_scores(folder)
    test = EpochScores(tested.epoch, tested.scores) if tested and best and tested.epoch == best.epoch else None
    return Result(name, folder, best, read[-1], sum(float(line["seconds"]) for line in epochs), test)


def spreads(results: Sequence[Result], which: str) -> dict[str, Spread]:
    """The spread of every score over the runs, at their `best` or `last` epochs, or of `test`."""
    chosen: dict[str, EpochScores | None] = {result.name: getattr(result, which) for result in results}
    names = dict.fromkeys(name for one in chosen.values() if one for name in one.scores)
    return {
        name: _spread({run: one.scores.get(name) if one else None for run, one in chosen.items()}) for name in names
    }


def table(rows: Iterable[Sequence[str]]) -> str:
    """Rows as aligned text: the first column left-aligned, the others right-aligned."""
    cells = [list(row) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = []
    for row in cells:
        first, *others = (
            cell.ljust(width) if not n else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *others]).rstrip())
    return "\n".join(lines)


def _scores(line: Mapping[str, Any]) -> dict[str, float | None]:
    """The entries of an epoch that are scores: those named `split/metric`."""
    found = {name: value for name, value in line.items() if "/" in name}
    return {name: float(value) if _is_finite(value) else None for name, value in found.items()}


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _spread(values: Mapping[str, float | None]) -> Spread:
    missing = tuple(name for name, value in values.items() if value is None)
    numbers = [value for value in values.values() if value is not None]
    if missing or not numbers:
        return Spread(None, None, missing)
    return Spread(statistics.fmean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else None, ())
