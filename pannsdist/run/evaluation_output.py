"""An evaluation as text: the scores with their intervals, the scores of each class, and every prediction."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.inference.decisions import Decisions, decided
from pannsdist.run.calibration.scores import calibrated, decision_scores
from pannsdist.run.series.scores import table
from pannsdist.runtime import csv_text, storage
from pannsdist.runtime.figures import score
from pannsdist.training.evaluator import Evaluation
from pannsdist.training.metrics import (
    CLASS_SCORES,
    ClassScores,
    Interval,
    Predictions,
    Resamples,
    absent_labels,
    class_intervals,
    class_means,
    intervals,
    resampled,
)

CLASS_COLUMNS = tuple(field.name for field in fields(ClassScores))
HEADINGS = ("class", "clips", "predicted", "precision", "recall", "F1", "95 %", "AP", "95 %", "ROC AUC")
SHOWN_INTERVALS = ("f1", "average_precision")
"""Those of the other scores are in JSON and CSV alone, so that a line of the table fits a terminal."""


@dataclass(frozen=True)
class EvaluatedSplit:
    """An evaluation of rank 0 with the name of its split, and the decisions of the model, if it has any.

    The scores of `evaluation` are those of the network's own outputs; `decided` are those of the decisions.
    """

    split: str
    evaluation: Evaluation
    predictions: Predictions
    decisions: Decisions | None = None

    @cached_property
    def decided(self) -> dict[str, float]:
        """The scores of the decisions by `split/metric`; empty for a model without."""
        found = decision_scores(self.decisions, self.predictions) if self.decisions else {}
        return {f"{self.split}/{name}": value for name, value in found.items()}

    @property
    def scores(self) -> dict[str, float]:
        """All scores by `split/metric`."""
        return {**self.evaluation.scores, **self.decided}

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """The 95 % intervals of the scores, by `split/metric`."""
        return intervals(self._resamples, self.split)

    @cached_property
    def _resamples(self) -> Resamples:
        return resampled(self.predictions)

    def _class_ends(self, column: int) -> dict[str, Any]:
        """Low and high ends of the intervals of a class, by column of the CSV file."""
        found = class_intervals(self._resamples, column)
        ends = {name: self._pair(found.get(name)) for name in CLASS_SCORES}
        return {f"{name}_{end}": value for name, pair in ends.items() for end, value in pair.items()}

    def text(self, form: str, per_class: bool) -> str:
        """The scores as `table`, `json` or `csv`; with `per_class` those of each class too, in CSV those alone."""
        if form == "json":
            return json.dumps(self._record(per_class), indent=1, ensure_ascii=False) + "\n"
        if form == "csv":
            return csv_text.text_of(self._class_rows() if per_class else self._score_rows())
        parts = [
            self._title(),
            self._scores_table(),
            *([self._classes_table()] if per_class else []),
            self._undefined(),
        ]
        return "\n\n".join(filter(None, parts)) + "\n"

    def _title(self) -> str:
        groups = len(set(self.predictions.groups))
        counted = f"{len(self.predictions.ids)} clips" + (f" of {groups} groups" if groups else "")
        return f"{self.split}: {counted}, {len(self.predictions.labels)} classes"

    def _scores_table(self) -> str:
        rows = [("score", "", "95 % interval")]
        for name, value in self.scores.items():
            rows.append((name, score(value), str(self.intervals.get(name, ""))))
        return table(rows)

    def _classes_table(self) -> str:
        rows: list[tuple[str, ...]] = [HEADINGS]
        for column, one in enumerate(self.evaluation.classes):
            found = class_intervals(self._resamples, column)
            cells = {name: (score(getattr(one, name)), str(found.get(name, ""))) for name in CLASS_SCORES}
            rows.append((one.label, str(one.support), str(one.predicted), *_cells(cells)))
        means = class_means(self.evaluation.classes)
        values = {name: (score(means[name].value), "") for name in CLASS_SCORES}
        counts = {name: (str(means[name].classes), "") for name in CLASS_SCORES}
        rows += [("mean", "", "", *_cells(values)), ("classes in the mean", "", "", *_cells(counts))]
        return table(rows)

    def _undefined(self) -> str:
        if not self.predictions.usable:
            return "the network's outputs are not finite, so no score is defined"
        absent = absent_labels(self.predictions)
        listed = f"labels without clips in {self.split}, which have no scores and are in no mean: {', '.join(absent)}"
        return listed if absent else ""

    def _record(self, per_class: bool) -> dict[str, Any]:
        scores = {name: {"value": finite(value), **self._ends(name)} for name, value in self.scores.items()}
        record: dict[str, Any] = {
            "split": self.split,
            "clips": len(self.predictions.ids),
            "skipped": len(self.evaluation.bad),
            "scores": scores,
            "labels_without_clips": absent_labels(self.predictions),
        }
        if per_class:
            record["classes"] = [
                {**{name: finite(value) for name, value in vars(one).items()}, **self._class_ends(column)}
                for column, one in enumerate(self.evaluation.classes)
            ]
            means = class_means(self.evaluation.classes)
            record["means"] = {
                name: {"value": finite(one.value), "classes": one.classes} for name, one in means.items()
            }
        return record

    def _ends(self, name: str) -> dict[str, float | None]:
        return self._pair(self.intervals.get(name))

    def _pair(self, one: Interval | None) -> dict[str, float | None]:
        return {"low": finite(one.low) if one else None, "high": finite(one.high) if one else None}

    def _score_rows(self) -> Iterator[tuple[Any, ...]]:
        yield ("score", "value", "low", "high", "clips")
        for name, value in self.scores.items():
            yield (name, value, *self._ends(name).values(), len(self.predictions.ids))

    def _class_rows(self) -> Iterator[tuple[Any, ...]]:
        yield (*CLASS_COLUMNS, *(f"{name}_{end}" for name in CLASS_SCORES for end in ("low", "high")))
        for column, one in enumerate(self.evaluation.classes):
            yield (*astuple(one), *self._class_ends(column).values())


def _cells(cells: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    """The columns of a table of classes: each score, and the interval of those in SHOWN_INTERVALS."""
    for name, (value, ends) in cells.items():
        yield value
        if name in SHOWN_INTERVALS:
            yield ends


def finite(value: Any) -> Any:
    """The value, or None for a float that JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_predictions(path: Path, predictions: Predictions, decisions: Decisions | None = None) -> None:
    """Write a CSV file with one line per clip, sorted by id.

    Columns: `id`; `truth` and `decision`, of several labels joined by `;`; `p_LABEL`, the probability of each class.
    The decision is the label with the largest probability; with several labels per clip those of at least 0.5. With
    `decisions`, the probabilities are calibrated, and the decision is theirs, empty for none of these. Where the
    network's output is not finite, the cells are empty.
    """
    ordered = predictions.sorted_by_id()

    def write(file: Any) -> None:
        for row in _prediction_rows(ordered, decisions):
            file.write(storage.encoded(csv_text.text_of([row])))

    storage.stream_atomic(path, write)


def _prediction_rows(predictions: Predictions, decisions: Decisions | None) -> Iterator[tuple[Any, ...]]:
    labels = predictions.labels
    yield ("id", "truth", "decision", *(f"p_{label}" for label in labels))
    is_finite = np.isfinite(predictions.logits).all(axis=1, keepdims=True)
    own = predictions if decisions is None else calibrated(decisions, predictions)
    probabilities = np.where(is_finite, own.probabilities, math.nan)
    chosen = (predictions.guessed if decisions is None else decided(decisions, predictions)) & is_finite
    for name, true, given, row in zip(predictions.ids, predictions.positives, chosen, probabilities, strict=True):
        names = [[labels[column] for column in np.flatnonzero(one)] for one in (true, given)]
        cells = [csv_text.joined(own) if predictions.multi_label else "".join(own) for own in names]
        yield (name, *cells, *row.tolist())
