"""Precision, recall, agreement, calibration, label ranking, scores of each class: against scikit-learn and by hand."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from pannsdist.training.metrics import (
    METRICS,
    Predictions,
    class_means,
    class_scores,
    confident_mistakes,
    confusion,
    most_confused,
    scored,
    scores,
)

LABELS = tuple("abcdefgh")


def predictions(logits, targets, multi_label=False):
    logits = np.asarray(logits, np.float32)
    ids = tuple(f"clip{row:03d}" for row in range(len(logits)))
    targets = np.asarray(targets, np.float32 if multi_label else np.int64)
    return Predictions(ids, logits, targets, LABELS[: logits.shape[1]], multi_label)


def random_single(clips=80, classes=8):
    rng = np.random.default_rng(1)
    targets = rng.integers(0, classes, clips)
    return predictions(rng.normal(size=(clips, classes)) + 2 * np.eye(classes)[targets], targets)


def random_multi(clips=80, classes=8):
    rng = np.random.default_rng(2)
    targets = rng.random((clips, classes)) < 0.3
    return predictions(rng.normal(size=(clips, classes)) + 2 * targets - 1, targets, multi_label=True)


def score(name, given):
    return METRICS[name].compute(given)


def test_single_label_classification_metrics_agree_with_scikit_learn():
    given = random_single()
    truth, answer = given.targets, given.logits.argmax(axis=1)
    expected = {
        "balanced_accuracy": sk.balanced_accuracy_score(truth, answer),
        "macro_precision": sk.precision_score(truth, answer, average="macro", zero_division=0),
        "macro_recall": sk.recall_score(truth, answer, average="macro"),
        "micro_f1": sk.f1_score(truth, answer, average="micro"),
        "weighted_f1": sk.f1_score(truth, answer, average="weighted"),
        "cohen_kappa": sk.cohen_kappa_score(truth, answer),
    }
    assert {name: score(name, given) for name in expected} == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(confusion(given), sk.confusion_matrix(truth, answer))


def test_multi_label_classification_metrics_agree_with_scikit_learn():
    given = random_multi()
    truth, answer = given.positives, given.probabilities >= 0.5
    expected = {
        "macro_precision": sk.precision_score(truth, answer, average="macro", zero_division=0),
        "macro_recall": sk.recall_score(truth, answer, average="macro"),
        "micro_f1": sk.f1_score(truth, answer, average="micro"),
        "weighted_f1": sk.f1_score(truth, answer, average="weighted"),
    }
    assert {name: score(name, given) for name in expected} == pytest.approx(expected, rel=1e-12)


def test_a_class_without_clips_lowers_the_precision_of_others_but_is_not_in_the_mean():
    given = predictions([[3, 0, 0], [0, 3, 0], [0, 0, 3], [0, 3, 0]], [0, 1, 1, 1])  # one clip is given the absent c
    assert score("macro_precision", given) == pytest.approx((1 + 1) / 2)
    assert score("macro_recall", given) == score("balanced_accuracy", given) == pytest.approx((1 + 2 / 3) / 2)
    assert score("weighted_f1", given) == pytest.approx((1 * 1 + 3 * 0.8) / 4)
    assert score("micro_f1", given) == 0.75


def test_a_class_that_is_never_predicted_has_a_precision_of_zero():
    assert score("macro_precision", predictions([[1, 0], [1, 0]], [0, 1])) == pytest.approx((0.5 + 0) / 2)


def test_kappa_by_hand_and_where_chance_alone_is_right():
    given = predictions([[1, 0]] * 3 + [[0, 1]], [0, 0, 1, 1])  # 3 of 4 right; chance 0.5 * 0.75 + 0.5 * 0.25
    assert score("cohen_kappa", given) == pytest.approx((0.75 - 0.5) / (1 - 0.5))
    assert math.isnan(score("cohen_kappa", predictions([[1, 0]] * 3, [0, 0, 0])))


def test_every_metric_breaks_ties_by_the_class_index():
    given = predictions([[0, 0], [0, 0]], [0, 1])
    np.testing.assert_array_equal(confusion(given), [[1, 0], [1, 0]])
    assert score("macro_recall", given) == 0.5


def test_the_calibration_error_by_hand():
    sure, unsure = math.log(0.9 / 0.1), math.log(0.6 / 0.4)
    given = predictions([[sure, 0]] * 4 + [[unsure, 0]] * 2, [0, 0, 0, 1, 0, 1])
    expected = 4 / 6 * abs(0.75 - 0.9) + 2 / 6 * abs(0.5 - 0.6)
    assert score("calibration_error", given) == pytest.approx(expected, rel=1e-6)


def test_the_multi_label_calibration_error_uses_every_probability():
    sure, low = math.log(0.9 / 0.1), math.log(0.1 / 0.9)
    given = predictions([[sure, low], [sure, low]], [[1, 0], [0, 0]], multi_label=True)
    assert score("calibration_error", given) == pytest.approx((2 * abs(0.5 - 0.9) + 2 * abs(0 - 0.1)) / 4, rel=1e-6)


def test_label_ranking_agrees_with_scikit_learn_where_every_clip_has_something_to_rank():
    given = random_multi()
    rows = given.positives.any(axis=1) & ~given.positives.all(axis=1)
    expected = sk.label_ranking_average_precision_score(given.positives[rows], given.logits[rows])
    assert score("label_ranking_average_precision", given) == pytest.approx(expected, rel=1e-12)


def test_label_ranking_of_one_label_is_the_mean_of_one_over_its_place():
    given = predictions([[3, 2, 1], [3, 2, 1], [1, 1, 0]], [0, 1, 0])
    assert score("label_ranking_average_precision", given) == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)


def test_a_clip_with_nothing_to_rank_is_excluded_from_label_ranking():
    given = predictions([[2, 1], [1, 2], [2, 1]], [[0, 1], [0, 0], [1, 1]], multi_label=True)
    assert score("label_ranking_average_precision", given) == 0.5
    empty = predictions([[2, 1]], [[0, 0]], multi_label=True)
    assert math.isnan(score("label_ranking_average_precision", empty))


@pytest.mark.parametrize("given", [random_single(), random_multi()], ids=["single", "multi"])
def test_the_scores_of_each_class_agree_with_scikit_learn(given):
    truth, probabilities, answer = given.positives, given.probabilities, given.guessed
    precision, recall, f1, support = sk.precision_recall_fscore_support(truth, answer, zero_division=0)
    for column, row in enumerate(class_scores(given)):
        assert row.label == LABELS[column]
        assert row.support == support[column]
        assert row.predicted == answer[:, column].sum()
        assert (row.precision, row.recall, row.f1) == pytest.approx((precision[column], recall[column], f1[column]))
        expected = sk.average_precision_score(truth[:, column], probabilities[:, column])
        assert row.average_precision == pytest.approx(expected)
        assert row.roc_auc == pytest.approx(sk.roc_auc_score(truth[:, column], probabilities[:, column]))


def test_a_class_without_clips_has_no_scores_but_has_a_row():
    absent = class_scores(predictions([[1, 0, 0], [0, 1, 0]], [0, 1]))[2]
    assert (absent.label, absent.support) == ("c", 0)
    assert all(map(math.isnan, (absent.precision, absent.recall, absent.f1, absent.average_precision, absent.roc_auc)))


def test_the_means_of_the_table_are_the_macro_scores():
    given = random_single()
    table = class_scores(given)
    found = {"macro_f1": np.mean([row.f1 for row in table]), "roc_auc": np.mean([row.roc_auc for row in table])}
    assert {name: score(name, given) for name in found} == pytest.approx(found)


@pytest.mark.parametrize("given", [random_single(), random_multi()], ids=["single", "multi"])
def test_the_scores_of_the_classes_and_their_macro_means_are_the_same_numbers(given):
    found = scored(given, "valid")
    assert found.classes == class_scores(given.sorted_by_id())
    means = class_means(found.classes)
    pairs = {"precision": "macro_precision", "recall": "macro_recall", "f1": "macro_f1", "roc_auc": "roc_auc"}
    for name, macro in {**pairs, "average_precision": "mean_average_precision"}.items():
        assert means[name].value == found.scores[f"valid/{macro}"]
        assert means[name].classes == 8


def test_a_mean_counts_the_classes_that_have_the_score():
    given = predictions([[2, 1, -1], [2, -1, -1]], [[1, 1, 0], [1, 0, 0]], multi_label=True)
    means = class_means(class_scores(given))
    assert (means["f1"].value, means["f1"].classes) == (1.0, 2)
    assert (means["roc_auc"].value, means["roc_auc"].classes) == (1.0, 1)  # every clip has the first class
    nothing = class_means(class_scores(predictions([[1.0]], [[0]], multi_label=True)))
    assert math.isnan(nothing["f1"].value)
    assert nothing["f1"].classes == 0


def test_the_most_confident_mistakes_about_a_class_come_first():
    logits = [[3.0, -4.0], [2.0, 1.0], [-5.0, 1.0], [1.0, 1.0], [-1.0, -1.0]]
    given = predictions(logits, [[0, 0], [1, 1], [1, 1], [0, 1], [0, 1]], multi_label=True)
    found = confident_mistakes(given, 0, 5)
    assert [(one.row, one.is_missed) for one in found] == [(2, True), (0, False), (3, False)]
    assert found[0].probability == pytest.approx(1 / (1 + math.exp(5)))
    assert confident_mistakes(given, 0, 1) == found[:1]
    assert [one.row for one in confident_mistakes(given, 1, 5)] == [4]


def test_a_logit_that_is_not_finite_leaves_a_table_without_scores():
    given = random_single()
    given.logits[3, 2] = math.nan
    assert all(math.isnan(value) for value in scores(given, "valid").values())
    assert all(math.isnan(row.f1) and math.isnan(row.roc_auc) for row in class_scores(given))
    assert sum(row.support for row in class_scores(given)) == 80


def test_the_most_confused_pairs_come_first_and_pairs_without_clips_are_excluded():
    logits = np.eye(3)[[0, 1, 1, 2, 0, 2]]
    assert most_confused(predictions(logits, [0, 0, 0, 1, 1, 2]), 5) == [(0, 1, 2), (1, 0, 1), (1, 2, 1)]
    assert most_confused(predictions(logits, [0, 0, 0, 1, 1, 2]), 1) == [(0, 1, 2)]
    assert most_confused(predictions(np.eye(2), [0, 1]), 5) == []


def test_a_bin_of_the_calibration_includes_its_upper_edge():
    given = predictions([[0.0] * 5, [0.2, 0, 0, 0, 0]], [0, 1])
    confidence = given.probabilities.max(axis=1)
    assert confidence[0] == 3 / 15 < confidence[1] < 4 / 15
    assert score("calibration_error", given) == pytest.approx(((1 - confidence[0]) + confidence[1]) / 2, rel=1e-12)


def test_a_target_at_one_half_is_no_positive_and_a_logit_of_zero_is_a_guess():
    given = predictions([[0.0, -1e-7]], [[0.5, 1.0]], multi_label=True)
    assert given.positives.tolist() == [[False, True]]
    assert given.guessed.tolist() == [[True, False]]
