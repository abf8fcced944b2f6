"""The threshold with the best F1, and the curve of precision and recall."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_curve

from pannsdist.training.metrics import Predictions, threshold_curve


def predictions(logits, truth):
    ids = tuple(map(str, range(len(logits))))
    return Predictions(ids, np.array(logits, np.float32)[:, None], np.array(truth, np.float32)[:, None], ("a",), True)


def test_no_threshold_has_a_better_f1_and_the_curve_is_scikit_learns():
    rng = np.random.default_rng(0)
    truth = rng.random(200) < 0.3
    given = predictions(np.round(rng.normal(size=200) + truth, 1), truth)
    curve = threshold_curve(given, 0)
    scores = given.probabilities[:, 0]
    best = max(f1_score(truth, scores >= threshold) for threshold in scores)
    assert curve.f1 == pytest.approx(best)
    assert f1_score(truth, scores >= curve.threshold) == pytest.approx(best)
    precision, recall, _ = precision_recall_curve(truth, scores)
    np.testing.assert_allclose(curve.precision[::-1], precision[:-1])
    np.testing.assert_allclose(curve.recall[::-1], recall[:-1])


def test_a_class_without_clips_or_with_nan_has_no_curve():
    assert threshold_curve(predictions([0.0, 1.0], [0, 0]), 0) is None
    assert threshold_curve(predictions([0.0, np.nan], [0, 1]), 0) is None
    assert threshold_curve(predictions([1.0, 1.0], [1, 1]), 0).f1 == 1.0


def test_the_threshold_is_in_the_middle_between_the_probabilities_around_it():
    for truth, threshold in (([1, 1, 0], 0.5), ([1, 1, 1], 1 / (1 + np.e) / 2)):
        found = threshold_curve(predictions([2.0, 1.0, -1.0], truth), 0).threshold
        assert found == pytest.approx(threshold, rel=1e-6)
