"""Tracking of the best epochs."""

import json
import math

import pytest

from pannsdist.runtime.errors import BadRunFolder
from pannsdist.training.best import BestTracker


def tracked(values, higher_is_better=True):
    best = BestTracker("valid/score", higher_is_better)
    return best, [best.update(epoch, 10 * epoch, {"valid/score": value}) for epoch, value in enumerate(values, start=1)]


def test_a_better_score_becomes_best():
    best, answers = tracked([0.2, 0.5, 0.4, 0.6])
    assert answers == [True, True, False, True]
    assert (best.value, best.epoch) == (0.6, 4)


def test_a_lower_score_becomes_best_where_lower_is_better():
    best, answers = tracked([0.5, 0.6, 0.1], higher_is_better=False)
    assert answers == [True, False, True]
    assert best.epoch == 3


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_a_tie_keeps_the_older(higher_is_better):
    best, answers = tracked([0.5, 0.5], higher_is_better)
    assert answers == [True, False]
    assert best.epoch == 1


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_a_nan_score_never_becomes_best(higher_is_better):
    best, answers = tracked([math.nan, 0.5, math.nan], higher_is_better)
    assert answers == [False, True, False]
    assert best.epoch == 2


def test_infinity_is_a_score():
    assert tracked([1.0, math.inf])[1] == [True, True]
    assert tracked([-math.inf, -1e9])[1] == [True, True]


def test_a_score_that_is_not_there_is_an_error():
    with pytest.raises(KeyError):
        BestTracker("valid/score", True).update(1, 10, {"valid/loss": 1.0})


@pytest.mark.parametrize("values", [[], [math.nan], [0.25], [math.inf]])
def test_the_state_survives_a_checkpoint(values):
    best, _ = tracked(values)
    again = BestTracker("valid/score", True)
    again.restore(json.loads(json.dumps(best.state())))
    assert again.epoch == best.epoch
    assert again.value == best.value or (math.isnan(again.value) and math.isnan(best.value))


def test_a_restored_tracker_continues_from_its_state():
    best, _ = tracked([0.5])
    again = BestTracker("valid/score", True)
    again.restore(best.state())
    assert not again.update(2, 20, {"valid/score": 0.5})
    assert again.update(3, 30, {"valid/score": 0.6})


def test_the_best_few_are_remembered_in_order():
    best = BestTracker("valid/score", True, top_k=2)
    for epoch, value in enumerate([0.2, 0.6, math.nan, 0.5, 0.6], start=1):
        best.update(epoch, 10 * epoch, {"valid/score": value})
    assert [(leader["epoch"], leader["step"]) for leader in best.best_epochs] == [(2, 20), (5, 50)]
    fewer = BestTracker("valid/score", True, top_k=1)
    fewer.restore(best.state())
    assert [leader["epoch"] for leader in fewer.best_epochs] == [2]


def test_the_best_epochs_by_another_metric_are_refused():
    other = BestTracker("valid/loss", higher_is_better=False)
    other.update(1, 4, {"valid/loss": 0.5})
    with pytest.raises(BadRunFolder, match="the best epochs by valid/loss, not by valid/accuracy"):
        BestTracker("valid/accuracy", higher_is_better=True).restore(other.state())


def test_patience_counts_from_the_best_epoch_or_from_where_the_comparison_began():
    """The state of a run whose evaluated clips changed after its fourth epoch."""
    forgotten = {**BestTracker("valid/score", True).state(), "since": 4}
    best, again = (BestTracker("valid/score", True) for _ in range(2))
    best.restore(forgotten)
    again.restore(best.state())
    assert (again.epoch, again.patience_epoch) == (0, 4)
    again.update(6, 60, {"valid/score": 0.5})
    assert again.patience_epoch == 6
