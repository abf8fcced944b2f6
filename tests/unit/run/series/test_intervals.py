"""The interval of a mean over folds: clips are drawn within each fold, from the predictions that the runs stored."""

from dataclasses import replace

import numpy as np
import pytest

from pannsdist.contracts import EpochReport
from pannsdist.contracts.predictions import Predictions
from pannsdist.run.series.intervals import fold_intervals
from pannsdist.run.series.scores import EpochScores, Result
from pannsdist.training.metrics import METRICS, intervals, resampled
from pannsdist.training.tracking import PredictionsTracker


def fold(folder, number, clips=100):
    """A finished fold with random predictions; its result and its predictions."""
    rng = np.random.default_rng(number)
    targets = rng.integers(0, 3, clips)
    logits = (rng.normal(size=(clips, 3)) + 1.5 * np.eye(3)[targets] + 50 * number).astype(np.float32)
    ids = tuple(f"{number}/{row}" for row in range(clips))
    predictions = Predictions(ids, logits, targets, ("a", "b", "c"), False)
    report = EpochReport(2, 3, 8, {}, "valid/accuracy", True, 1.0, predictions)
    PredictionsTracker(folder / f"fold_{number}" / "best_predictions").epoch(report)
    scores = EpochScores(2, {"valid/accuracy": METRICS["accuracy"].compute(predictions)})
    return Result(f"fold_{number}", folder / f"fold_{number}", scores, scores, 1.0), predictions


def test_the_mean_of_the_folds_lies_in_an_interval_that_is_narrower_than_that_of_a_fold(tmp_path):
    folds = [fold(tmp_path, number) for number in range(4)]
    found = fold_intervals([result for result, _ in folds])
    assert found.clips == 400
    for name in ("accuracy", "mean_average_precision"):
        mean = np.mean([METRICS[name].compute(predictions) for _, predictions in folds])
        one = found.of_scores[f"valid/{name}"]
        assert one.low < mean < one.high
        alone = [intervals(resampled(predictions), "valid")[f"valid/{name}"] for _, predictions in folds]
        assert one.high - one.low == pytest.approx(np.mean([other.high - other.low for other in alone]) / 2, rel=0.2)
    assert fold_intervals([result for result, _ in folds]) == found


def test_without_the_predictions_of_the_best_epoch_of_each_fold_there_is_none(tmp_path):
    (first, _), (second, _) = fold(tmp_path, 1), fold(tmp_path, 2)
    for other in (
        replace(second, folder=tmp_path / "absent"),
        replace(second, best=None),
        replace(second, best=EpochScores(3, {})),
    ):
        found = fold_intervals([first, other])
        assert (found.clips, found.of_scores) == (0, {})
