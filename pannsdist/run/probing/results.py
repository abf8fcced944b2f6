"""What a probe found, as text and as a record.

Axes: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pannsdist.run.evaluation_output import EvaluatedSplit, finite
from pannsdist.run.planning.data import TEST, VALID
from pannsdist.run.probing.choosing import Chosen, described, notes
from pannsdist.run.probing.plan import ProbePlan
from pannsdist.run.probing.solvers import KINDS
from pannsdist.run.series.intervals import intervals_over_folds
from pannsdist.run.series.scores import EpochScores, Result, spreads, table
from pannsdist.runtime.figures import score
from pannsdist.training.evaluator import Evaluation
from pannsdist.training.metrics import Predictions


@dataclass(frozen=True)
class Division:
    """The result on a fold, or on `valid`: the classifier, its predictions there, and their evaluation."""

    name: str
    chosen: Chosen
    predictions: Predictions
    evaluation: Evaluation
    clips: int
    """Clips that it was trained on."""


@dataclass(frozen=True)
class Results:
    """The divisions, the classifier that is kept, and its evaluation on the test split, if there is one."""

    divisions: Sequence[Division]
    chosen: Chosen
    test: EvaluatedSplit | None = None

    @property
    def scores(self) -> dict[str, float]:
        """Of one division its scores; of folds the mean of each score, where it is defined in all."""
        if len(self.divisions) == 1:
            return dict(self.divisions[0].evaluation.scores)
        return {name: one.mean for name, one in self._spreads().items() if one.mean is not None}

    def text(self, plan: ProbePlan) -> str:
        """The scores with their intervals, and of folds a line for each."""
        parts = [self._folds() if plan.request.folds else _split(self.divisions[0])]
        parts += [self.test.text("table", per_class=False).rstrip()] if self.test else []
        kind = KINDS[plan.request.kind]
        lines = notes(kind, [*(one.chosen for one in self.divisions), self.chosen])
        lines += [
            f"{described(kind, self.chosen)}, of {_listed(kind.values)}: chosen by folds within the training clips"
        ]
        return "\n\n".join([*parts, "\n".join(lines[:-1] if self.chosen.note else lines)])

    def record(self, plan: ProbePlan) -> dict[str, Any]:
        """The content of `probe.json`."""
        kind, found = KINDS[plan.request.kind], self._intervals()
        return {
            "kind": plan.request.kind,
            "parameter": kind.parameter,
            "value": self.chosen.value,
            "divisions": {
                one.name: {
                    "value": one.chosen.value,
                    "train_clips": one.clips,
                    "scores": {name: finite(value) for name, value in one.evaluation.scores.items()},
                }
                for one in self.divisions
            },
            "mean": {name: vars(one) for name, one in self._spreads().items()},
            "intervals": {name: [finite(one.low), finite(one.high)] for name, one in found.of_scores.items()},
            "test": {name: finite(value) for name, value in self.test.evaluation.scores.items()} if self.test else None,
        }

    def _folds(self) -> str:
        metric = next(name for name in self.divisions[0].evaluation.scores if name != f"{VALID}/loss")
        rows = [("", "train", VALID, metric)]
        for one in self.divisions:
            rows.append((one.name, str(one.clips), str(len(one.predictions.ids)), score(one.evaluation.scores[metric])))
        found = self._intervals()
        means = [(f"mean of {len(self.divisions)} folds, {found.clips} clips", "", "95 % interval")]
        means += [(name, str(one), str(found.of_scores.get(name, ""))) for name, one in self._spreads().items()]
        note = "+-: sample standard deviation (n - 1); interval: of the mean, bootstrap over the clips within each fold"
        return f"{table(rows)}\n\n{table(means)}\n\n{note}"

    def _spreads(self) -> dict[str, Any]:
        return spreads([_result(one) for one in self.divisions], "best")

    def _intervals(self) -> Any:
        return intervals_over_folds([(VALID, one.predictions) for one in self.divisions])


def _split(division: Division) -> str:
    evaluated = EvaluatedSplit(VALID, division.evaluation, division.predictions)
    return evaluated.text("table", per_class=False).rstrip()


def _result(division: Division) -> Result:
    scores = EpochScores(1, {name: finite(value) for name, value in division.evaluation.scores.items()})
    return Result(division.name, Path(), scores, scores, 0.0)


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def evaluated(evaluation: Evaluation, predictions: Predictions) -> EvaluatedSplit:
    """The evaluation of the test split."""
    return EvaluatedSplit(TEST, evaluation, predictions)
