"""The results of a run, for Python and notebooks."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pannsdist.runtime import paddle_import, reading
from pannsdist.runtime.errors import BadRunFolder
from pannsdist.runtime.figures import score
from pannsdist.runtime.names import expanded

if TYPE_CHECKING:
    from pannsdist.inference.bundle import BundleRecord
    from pannsdist.inference.model import Model

MODEL_FOLDER = "best_model"
SHOWN_EPOCHS = 10
"""A notebook shows the last epochs, and the best one where it is before them."""


class Run:
    """The results in a run folder, as they were when this was made: `Run("runs/demo")`.

    Raises BadRunFolder if it is not a run folder or its files are damaged, BadBundle for a damaged `best_model`,
    CannotRead.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        with paddle_import.paddle_imported():
            from pannsdist.run.folder import require_run_folder
            from pannsdist.run.testing import read_test_scores
        from pannsdist.training.tracking.scores_file import SCORES_FILE, read_scores

        self.folder = expanded(folder)
        """As it was given."""
        require_run_folder(self.folder)
        lines = read_scores(self.folder / SCORES_FILE)
        self.scores = [{key: value for key, value in line.items() if key != "earlier"} for line in lines]
        """One dictionary for each epoch: `epoch`, `step`, every score by `split/metric`, `seconds`.

        A score that is not finite is None. `pandas.DataFrame(run.scores)` makes a table of them.
        """
        self._record = self._read_record()
        tested = read_test_scores(self.folder)
        is_of_best = tested is not None and tested.epoch == self.best_epoch
        self.test_scores: Mapping[str, float | None] = dict(tested.scores) if tested and is_of_best else {}
        """The scores of the best model on the test split, by `test/metric`; empty without such a split."""

    def _read_record(self) -> BundleRecord | None:
        from pannsdist.inference.bundle import read_record

        folder = self.folder / MODEL_FOLDER
        return read_record(folder) if reading.is_folder(folder) else None

    @property
    def metric(self) -> str | None:
        """The score that chose the best epoch, such as `valid/accuracy`; None without a model."""
        return self._record.metric if self._record else None

    @property
    def best_epoch(self) -> int | None:
        """The epoch of `best_model`; None if no epoch had a finite score yet."""
        return self._record.epoch if self._record else None

    @property
    def best_score(self) -> float | None:
        """The value of `metric` in the best epoch; None where no score chose it, as with `train.all_clips`."""
        return self._record.scores.get(self._record.metric) if self._record else None

    def model(self, **options: Any) -> Model:
        """The model of the best epoch; `options` are those of `load_model`. Raises BadRunFolder if there is none."""
        from pannsdist.inference.model import load_model

        if self._record is None:
            wrong = f"{self.folder} has no {MODEL_FOLDER}: no epoch with a finite score is finished"
            raise BadRunFolder(wrong, "the same call of pannsdist.train, or the same command, continues the run")
        return load_model(self.folder / MODEL_FOLDER, **options)

    def report(self, output: str | os.PathLike[str] | None = None) -> Path:
        """Write the HTML report, by default `report.html` in the run folder, and return its path.

        Raises CannotWrite, and BadRunFolder before the first epoch is finished.
        """
        from pannsdist.run.report.writing import write_report

        return write_report(self.folder, None if output is None else expanded(output))

    def __repr__(self) -> str:
        return f"<Run {self.folder}: {self._summary()}>"

    def _summary(self) -> str:
        epochs = f"{len(self.scores)} {'epoch' if len(self.scores) == 1 else 'epochs'}"
        if self.best_score is None:
            model = f", model of epoch {self.best_epoch}" if self.best_epoch else ", no model"
            return f"{epochs}{model}"
        name = f"test/{str(self.metric).partition('/')[2]}"
        tested = f", {name} {score(self.test_scores[name])}" if name in self.test_scores else ""
        return f"{epochs}, best {self.metric} {score(self.best_score)} in epoch {self.best_epoch}{tested}"

    def _repr_html_(self) -> str:
        """A table of the epochs, the best one in bold."""
        named = dict.fromkeys(["train/loss", "valid/loss", *([self.metric] if self.metric else [])])
        columns = ["epoch", *(name for name in named if any(name in line for line in self.scores)), "seconds"]
        before, last = self.scores[:-SHOWN_EPOCHS], self.scores[-SHOWN_EPOCHS:]
        shown = [line for line in before if line["epoch"] == self.best_epoch] + last
        rows = [_row("th", columns), *(self._epoch_row(line, columns) for line in shown)]
        caption = html.escape(f"{self.folder}: {self._summary()}")
        return f"<table><caption>{caption}</caption>{''.join(rows)}</table>"

    def _epoch_row(self, line: Mapping[str, Any], columns: list[str]) -> str:
        cells = [str(line["epoch"]), *(score(line.get(name)) for name in columns[1:-1]), f"{line['seconds']:.1f}"]
        return _row("th" if line["epoch"] == self.best_epoch else "td", cells)


def _row(tag: str, cells: list[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"
