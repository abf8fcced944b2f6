"""Metrics: hand-computed values, scikit-learn, and edge cases."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from pannsdist.training.metrics import METRICS, Predictions, absent_labels, metrics_for, scores

LABELS = tuple("abcdefgh")


def single(logits, targets, labels=None):
    logits = np.asarray(logits, dtype=np.float32)
    ids = tuple(f"clip{row:03d}" for row in range(len(logits)))
    return Predictions(ids, logits, np.asarray(targets, dtype=np.int64), labels or LABELS[: logits.shape[1]], False)


def multi(logits, targets):
    logits = np.asarray(logits, dtype=np.float32)
    ids = tuple(f"clip{row:03d}" for row in range(len(logits)))
    return Predictions(ids, logits, np.asarray(targets, dtype=np.float32), LABELS[: logits.shape[1]], True)


def random_single(clips=60, classes=8):
    rng = np.random.default_rng(1)
    return single(rng.normal(size=(clips, classes)), np.arange(clips) % classes)


def random_multi(clips=60, classes=8):
    rng = np.random.default_rng(2)
    targets = rng.random((clips, classes)) < 0.3
    return multi(rng.normal(size=(clips, classes)) + targets, targets)


def score(name, predictions):
    return METRICS[name].compute(predictions)


def test_probabilities_are_a_softmax_where_there_is_one_label():
    predictions = single([[0.0, math.log(3.0)], [1000.0, 0.0]], [0, 1])
    assert predictions.probabilities.dtype == np.float64
    np.testing.assert_allclose(predictions.probabilities, [[0.25, 0.75], [1.0, 0.0]], rtol=1e-7)


def test_probabilities_are_a_sigmoid_each_where_there_are_several_labels():
    predictions = multi([[0.0, math.log(3.0)], [1000.0, -1000.0]], np.zeros((2, 2)))
    np.testing.assert_allclose(predictions.probabilities, [[0.5, 0.75], [1.0, 0.0]], rtol=1e-7)


def test_the_loss_of_one_label_is_the_mean_cross_entropy():
    predictions = single([[0.0, math.log(3.0)], [0.0, 0.0]], [0, 1])
    assert score("loss", predictions) == pytest.approx((math.log(4.0) + math.log(2.0)) / 2, rel=1e-7)


def test_the_loss_of_several_labels_is_the_mean_over_clips_and_classes():
    predictions = multi([[0.0, math.log(3.0)]], [[1, 0]])
    assert score("loss", predictions) == pytest.approx((math.log(2.0) + math.log(4.0)) / 2, rel=1e-7)


def test_the_loss_of_huge_logits_does_not_overflow():
    assert score("loss", single([[1e30, 0.0]], [1])) == pytest.approx(1e30)
    assert score("loss", multi([[1e30, -1e30]], [[0, 0]])) == pytest.approx(0.5e30)


def test_the_losses_agree_with_scikit_learn():
    predictions = random_single()
    expected = sk.log_loss(predictions.targets, predictions.probabilities, labels=range(8))
    assert score("loss", predictions) == pytest.approx(expected, rel=1e-12)
    predictions = random_multi()
    expected = sk.log_loss(predictions.targets.ravel(), predictions.probabilities.ravel())
    assert score("loss", predictions) == pytest.approx(expected, rel=1e-12)


def test_accuracy_counts_the_largest_logit_and_breaks_ties_by_the_class_index():
    assert score("accuracy", single([[1, 2, 0], [1, 1, 0], [1, 1, 0], [0, 0, 3]], [1, 0, 1, 2])) == 0.75


def test_top5_accuracy_counts_the_five_largest_and_breaks_ties_by_the_class_index():
    logits = [[0.0] * 8, [0.0] * 8, [1, 1, 1, 1, 1, 9, 8, 0]]
    assert score("top5_accuracy", single(logits, [4, 5, 2])) == pytest.approx(2 / 3)
    assert score("top5_accuracy", single(logits, [4, 5, 3])) == pytest.approx(1 / 3)


def test_macro_f1_by_hand():
    one = single([[2, 1], [2, 1], [1, 2], [2, 1]], [0, 0, 1, 1])
    assert score("macro_f1", one) == pytest.approx((0.8 + 2 / 3) / 2)
    several = multi([[1, -1], [0, 1], [-1, 1]], [[1, 0], [1, 1], [0, 0]])
    assert score("macro_f1", several) == pytest.approx((1.0 + 2 / 3) / 2)


@pytest.mark.parametrize("predictions", [random_single(), random_multi()], ids=["single", "multi"])
def test_the_macro_averages_agree_with_scikit_learn(predictions):
    truth = predictions.positives.astype(int)
    probabilities = predictions.probabilities
    guessed = probabilities >= 0.5 if predictions.multi_label else np.eye(8)[probabilities.argmax(axis=1)]
    found = scores(predictions, "valid")
    auc = sk.roc_auc_score(truth, probabilities, average="macro")
    assert found["valid/macro_f1"] == pytest.approx(sk.f1_score(truth, guessed, average="macro"), rel=1e-12)
    expected = sk.average_precision_score(truth, probabilities, average="macro")
    assert found["valid/mean_average_precision"] == pytest.approx(expected, rel=1e-12)
    assert found["valid/roc_auc"] == pytest.approx(auc, rel=1e-12)


def test_average_precision_and_area_by_hand():
    predictions = multi([[4, 1], [3, 2], [2, 3], [1, 4]], [[1, 0], [0, 0], [1, 1], [0, 1]])
    assert score("mean_average_precision", predictions) == pytest.approx(((1 + 2 / 3) / 2 + 1) / 2)
    assert score("roc_auc", predictions) == pytest.approx((3 / 4 + 1) / 2)


def test_d_prime_comes_from_the_mean_area_and_is_infinite_for_a_perfect_one():
    predictions = multi([[4], [3], [2], [1]], [[1], [0], [1], [0]])
    assert score("d_prime", predictions) == pytest.approx(0.9538725524, rel=1e-9)  # sqrt(2) * norm.ppf(0.75)
    assert score("d_prime", multi([[1], [0]], [[1], [0]])) == math.inf
    assert score("d_prime", multi([[1], [0]], [[0], [1]])) == -math.inf


def test_saturated_probabilities_do_not_create_ties():
    targets = [[0], [1], [0]]
    assert score("roc_auc", multi([[50.0], [60.0], [40.0]], targets)) == 1.0
    assert score("roc_auc", single([[0, 50.0], [0, 60.0], [0, 40.0]], [0, 1, 0])) == 1.0


def test_a_class_without_clips_is_listed_and_excluded_from_the_averages():
    logits = np.random.default_rng(3).normal(size=(12, 4))
    targets = np.arange(12) % 3
    predictions = single(logits, targets)
    assert absent_labels(predictions) == ("d",)
    truth, probabilities = np.eye(3)[targets], predictions.probabilities[:, :3]
    guessed = np.eye(4)[logits.argmax(axis=1)][:, :3]
    assert score("macro_f1", predictions) == pytest.approx(sk.f1_score(truth, guessed, average="macro"))
    expected = sk.average_precision_score(truth, probabilities, average="macro")
    assert score("mean_average_precision", predictions) == pytest.approx(expected)
    expected = sk.roc_auc_score(truth, probabilities, average="macro")
    assert score("roc_auc", predictions) == pytest.approx(expected)


def test_a_class_that_every_clip_has_is_excluded_from_roc_auc_only():
    predictions = multi([[1, 3], [2, 2], [3, 1]], [[1, 0], [1, 1], [1, 0]])
    assert absent_labels(predictions) == ()
    assert score("roc_auc", predictions) == 0.5
    assert score("mean_average_precision", predictions) == pytest.approx((1 + 0.5) / 2)


def test_averages_over_no_class_are_nan_without_a_warning():
    predictions = multi([[1, 2], [2, 1]], np.zeros((2, 2)))
    assert absent_labels(predictions) == ("a", "b")
    for name in ("macro_f1", "mean_average_precision", "roc_auc", "d_prime"):
        assert math.isnan(score(name, predictions)), name
    assert math.isfinite(score("loss", predictions))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("predictions", [random_single(), random_multi()], ids=["single", "multi"])
def test_one_logit_that_is_not_finite_makes_every_score_nan(predictions, bad):
    logits = predictions.logits.copy()
    logits[3, 2] = bad
    broken = Predictions(predictions.ids, logits, predictions.targets, predictions.labels, predictions.multi_label)
    assert broken.probabilities.shape == logits.shape
    assert all(math.isnan(value) for value in scores(broken, "valid").values())


@pytest.mark.parametrize("predictions", [random_single(200), random_multi(200)], ids=["single", "multi"])
def test_scores_do_not_depend_on_the_order_of_the_rows(predictions):
    expected = scores(predictions, "valid")
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(predictions.ids))
        ids = tuple(predictions.ids[row] for row in order)
        rows = predictions.logits[order], predictions.targets[order]
        assert scores(Predictions(ids, *rows, predictions.labels, predictions.multi_label), "valid") == expected


def test_a_single_clip_has_scores():
    found = scores(single([[0, 1, 2]], [2]), "test")
    assert found["test/accuracy"] == found["test/macro_f1"] == found["test/mean_average_precision"] == 1.0
    assert math.isnan(found["test/roc_auc"])


@pytest.mark.parametrize("multi_label", [False, True])
def test_no_clip_has_no_score(multi_label):
    targets = np.zeros((0, 8), np.float32) if multi_label else np.zeros(0, np.int64)
    predictions = Predictions((), np.zeros((0, 8), np.float32), targets, LABELS, multi_label)
    assert all(math.isnan(value) for value in scores(predictions, "valid").values())
    assert predictions.probabilities.shape == (0, 8)
    assert absent_labels(predictions) == LABELS


def test_scores_are_python_floats_named_after_split_and_metric():
    found = scores(random_single(), "valid")
    assert list(found) == [f"valid/{name}" for name in metrics_for(multi_label=False, classes=8)]
    assert {type(value) for value in found.values()} == {float}


def test_each_task_has_the_metrics_that_apply_to_it():
    both = {"loss", "macro_precision", "macro_recall", "macro_f1", "micro_f1", "weighted_f1", "mean_average_precision"}
    both |= {"label_ranking_average_precision", "roc_auc", "d_prime", "calibration_error"}
    one = both | {"accuracy", "balanced_accuracy", "cohen_kappa"}
    assert set(metrics_for(multi_label=True, classes=8)) == both
    assert set(metrics_for(multi_label=False, classes=5)) == one
    assert set(metrics_for(multi_label=False, classes=6)) == one | {"top5_accuracy"}


def test_only_loss_and_calibration_error_are_better_when_they_are_lower():
    lower = [name for name, metric in METRICS.items() if not metric.higher_is_better]
    assert lower == ["loss", "calibration_error"]
    assert all(metric.name == name for name, metric in METRICS.items())


def test_predictions_that_do_not_fit_their_labels_are_refused():
    with pytest.raises(ValueError, match=r"logits are \(1, 3\); 1 ids and 2 labels require \(1, 2\)"):
        single([[1, 2, 3]], [0], labels=("a", "b"))
    with pytest.raises(ValueError, match=r"targets are \(1,\); \(2,\) was expected"):
        single([[1, 2], [1, 2]], [0])
    with pytest.raises(ValueError, match="targets reach from 0 to 2; 2 classes"):
        single([[1, 2], [1, 2]], [0, 2])
