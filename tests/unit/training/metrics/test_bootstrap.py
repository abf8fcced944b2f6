"""Intervals of scores: resamples are the metric of the drawn clips, repeatable, and groups stay whole."""

import math

import numpy as np
import pytest

from pannsdist.contracts.predictions import CLASS_SCORES, Predictions
from pannsdist.training.metrics import METRICS, class_intervals, class_scores, intervals, metrics_for, resampled
from pannsdist.training.metrics.bootstrap import Interval, _counted, _draws, _ranked, interval

LABELS = tuple("abcdefgh")
NOT_RESAMPLED = {"calibration_error"}


def made(multi_label, clips=50, classes=7, groups=(), digits=1):
    """Predictions with many equal scores, and a last class that only few clips have."""
    rng = np.random.default_rng(int(multi_label))
    logits = np.round(rng.normal(size=(clips, classes)), digits).astype(np.float32)
    if multi_label:
        targets = (rng.random((clips, classes)) < np.linspace(0.5, 0.04, classes)).astype(np.float32)
    else:
        targets = np.minimum(rng.geometric(0.3, clips) - 1, classes - 1)
    ids = tuple(f"clip{row:03d}" for row in range(clips))
    return Predictions(ids, logits, targets, LABELS[:classes], multi_label, tuple(groups))


def drawn(predictions, counts):
    """The predictions with each clip as often as it was drawn."""
    rows = np.repeat(np.arange(len(counts)), counts.astype(int))
    ids = tuple(f"{number}" for number in range(len(rows)))
    return Predictions(
        ids, predictions.logits[rows], predictions.targets[rows], predictions.labels, predictions.multi_label
    )


@pytest.mark.parametrize("multi_label", [False, True], ids=["single", "multi"])
def test_each_resample_is_the_metric_of_the_clips_that_were_drawn(multi_label):
    given = made(multi_label)
    weights = next(_draws(50, None, 3, 6))
    weights = np.concatenate([np.ones((50, 1), np.float32), weights], axis=1)  # the first is the metric itself
    resamples = _counted(given)(weights) | _ranked(given)(weights)
    found = resamples.scores
    names = set(metrics_for(multi_label, 7)) - NOT_RESAMPLED
    assert set(found) == names
    for name in names:
        expected = [METRICS[name].compute(drawn(given, column)) for column in weights.T]
        np.testing.assert_allclose(found[name], expected, rtol=1e-6, atol=1e-9, err_msg=name)
    expected = [class_scores(drawn(given, column)) for column in weights.T]
    for name in CLASS_SCORES:
        of_classes = [[getattr(one, name) for one in classes] for classes in expected]
        np.testing.assert_allclose(resamples.classes[name].T, of_classes, rtol=1e-6, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("multi_label", [False, True], ids=["single", "multi"])
def test_the_scores_of_a_class_lie_in_their_intervals_and_a_rare_class_has_none(multi_label):
    given = made(multi_label, 200)
    rare = given.positives.sum(axis=0).tolist()
    resamples = resampled(given)
    for column, one in enumerate(class_scores(given)):
        found = class_intervals(resamples, column)
        assert set(found) == (set(CLASS_SCORES) if rare[column] > 2 else set()), rare
        assert all(ends.low <= getattr(one, name) <= ends.high for name, ends in found.items())
    alone = Predictions(("a", "b"), given.logits[:2], given.targets[:2], given.labels, multi_label)
    assert class_intervals(resampled(alone), 0) == {}
    assert class_intervals(resampled(made(multi_label, 1)), 0) == {}


def test_a_score_lies_in_its_interval_and_more_clips_narrow_it():
    widths = []
    for clips in (60, 960):
        given = made(False, clips)
        low, high = (getattr(intervals(resampled(given), "valid")["valid/accuracy"], side) for side in ("low", "high"))
        accuracy = METRICS["accuracy"].compute(given)
        assert low < accuracy < high
        widths.append(high - low)
        error = 1.96 * math.sqrt(accuracy * (1 - accuracy) / clips)
        assert high - low == pytest.approx(2 * error, rel=0.15), "the binomial interval of many clips"
    assert widths[1] < widths[0] / 2


def test_the_same_seed_draws_the_same_in_any_order_of_the_clips():
    given, order = made(True), np.random.default_rng(9).permutation(50)
    ids = tuple(given.ids[row] for row in order)
    shuffled = Predictions(ids, given.logits[order], given.targets[order], given.labels, True)
    assert intervals(resampled(given), "valid") == intervals(resampled(shuffled), "valid")
    first, again, other = (resampled(given, seed).scores["macro_f1"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_clips_of_a_group_are_drawn_together():
    weights = next(_draws(3, np.array([0, 1, 1, 2, 0]), 0, 100))
    np.testing.assert_array_equal(weights[0], weights[4])
    np.testing.assert_array_equal(weights[1], weights[2])
    assert (weights[0] != weights[1]).any()


def test_clips_that_are_copies_of_each_other_widen_the_interval_only_where_they_are_grouped():
    once = made(False, 40)
    copies = drawn(once, np.full(40, 5))
    groups = tuple(np.repeat([f"g{n}" for n in range(40)], 5))
    grouped = Predictions(copies.ids, copies.logits, copies.targets, copies.labels, False, groups)

    def width(predictions):
        found = intervals(resampled(predictions), "v")["v/accuracy"]
        return found.high - found.low

    assert width(grouped) == pytest.approx(width(once), rel=0.2)
    assert width(copies) < 0.6 * width(once)


def test_too_few_clips_or_groups_and_logits_that_are_not_finite_have_no_interval():
    assert intervals(resampled(made(False, 1)), "valid") == {}
    assert intervals(resampled(made(False, 50, groups=["one"] * 50)), "valid") == {}
    broken = made(False)
    broken.logits[3, 1] = math.nan
    assert intervals(resampled(broken), "valid") == {}


def test_a_score_that_most_resamples_lack_has_no_interval_and_infinity_is_a_value():
    values = np.arange(1000.0)
    assert interval(values) == Interval(25.0, 974.0)
    assert interval(np.where(values < 50, math.nan, values)) is not None
    assert interval(np.where(values < 200, math.nan, values)) is None
    assert interval(np.full(1000, math.nan)) is None
    assert interval(np.where(values > 500, math.inf, values)) == Interval(25.0, math.inf)


def test_groups_that_do_not_match_the_clips_are_refused():
    with pytest.raises(ValueError, match="2 groups for 50 clips"):
        made(False, groups=["a", "b"])
