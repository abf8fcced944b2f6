"""Temperature, thresholds and energies, fitted on predictions."""

from dataclasses import replace

import numpy as np
import pytest

from pannsdist.contracts.predictions import Predictions, losses
from pannsdist.inference.decisions import MAX_TEMPERATURE, MIN_TEMPERATURE, decided, energies
from pannsdist.run.calibration.fitting import Wish, fit, fit_min_energy, joined
from pannsdist.run.calibration.temperature import fit_temperature
from pannsdist.run.calibration.thresholds import Goal, fit_thresholds
from pannsdist.runtime.errors import BadDataset, UserError

LABELS = ("a", "b", "c")


def single(clips=300, seed=0, scale=1.0):
    """Logits from which the labels are chosen with the probabilities of softmax: calibrated, if `scale` is 1."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(0.0, 2.0, (clips, 3))
    gumbel = chance.gumbel(size=logits.shape)
    targets = (logits + gumbel).argmax(axis=1)
    return Predictions(
        tuple(f"{n:05d}" for n in range(clips)), (scale * logits).astype(np.float32), targets, LABELS, False
    )


def several(clips=300, seed=0, scale=1.0):
    chance = np.random.default_rng(seed)
    logits = chance.normal(-1.0, 2.0, (clips, 3))
    targets = (chance.uniform(size=logits.shape) < 1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
    names = tuple(f"{n:05d}" for n in range(clips))
    return Predictions(names, (scale * logits).astype(np.float32), targets, LABELS, True)


def f1(chosen, truth):
    return np.mean(2 * (chosen & truth).sum(axis=0) / (chosen.sum(axis=0) + truth.sum(axis=0)))


@pytest.mark.parametrize("kind", [single, several])
def test_calibrated_logits_keep_their_temperature_and_multiplied_ones_get_the_factor_back(kind):
    own = fit_temperature(kind(5000))
    assert own == pytest.approx(1.0, abs=0.1)
    for factor in (0.3, 3.0):
        assert fit_temperature(kind(5000, scale=factor)) == pytest.approx(factor * own, rel=1e-5)


@pytest.mark.parametrize("kind", [single, several])
def test_no_other_temperature_has_a_smaller_loss(kind):
    predictions = kind(400, scale=2.5)
    best = fit_temperature(predictions)
    loss = [
        losses(replace(predictions, logits=predictions.logits / t)).mean() for t in (best, 0.97 * best, 1.03 * best)
    ]
    assert loss[0] < min(loss[1:])


def test_a_perfect_model_gets_a_finite_temperature_and_a_useless_one_the_highest():
    targets = np.arange(30) % 3
    perfect = Predictions(
        tuple(map(str, range(30))), 8.0 * np.eye(3, dtype=np.float32)[targets], targets, LABELS, False
    )
    assert MIN_TEMPERATURE < fit_temperature(perfect) < 2.0
    wrong = replace(perfect, targets=(targets + 1) % 3)
    assert fit_temperature(wrong) == pytest.approx(MAX_TEMPERATURE)


def test_the_threshold_lies_in_the_middle_between_the_clips_that_decide():
    probabilities = np.array([[0.9], [0.8], [0.2], [0.1]])
    common, own = fit_thresholds(probabilities, np.array([[True], [True], [False], [False]]), Goal())
    assert common == pytest.approx(0.5)
    assert own == (common,)


def test_a_class_leaves_the_common_threshold_only_for_more_than_one_clip():
    chance = np.random.default_rng(0)
    truth = chance.uniform(size=(400, 3)) < 0.3
    probabilities = np.clip(np.where(truth, 0.7, 0.3) + chance.normal(0, 0.12, truth.shape), 0.01, 0.99)
    shifted = probabilities.copy()
    shifted[:, 2] = np.clip(shifted[:, 2] - 0.25, 0.01, 0.99)
    common, own = fit_thresholds(shifted, truth, Goal())
    assert own[2] < common - 0.05
    common, own = fit_thresholds(probabilities, truth, Goal())
    assert own == (common,) * 3


def test_a_class_without_clips_keeps_the_common_threshold():
    probabilities = np.array([[0.9, 0.3], [0.2, 0.4]])
    truth = np.array([[True, False], [False, False]])
    common, own = fit_thresholds(probabilities, truth, Goal())
    assert own[1] == common
    assert fit_thresholds(probabilities, np.zeros_like(truth), Goal()) == (0.5, (0.5, 0.5))


def test_equal_probabilities_are_decided_together():
    probabilities = np.array([[0.6], [0.6], [0.6], [0.1]])
    truth = np.array([[True], [True], [False], [False]])
    _, (threshold,) = fit_thresholds(probabilities, truth, Goal())
    assert 0.1 < threshold < 0.6


@pytest.mark.parametrize("goal", [Goal("precision", 0.9), Goal("recall", 0.9)])
def test_a_named_precision_or_recall_is_reached_on_the_clips_and_the_other_score_is_as_high_as_it_can_be(goal):
    predictions = several(2000)
    probabilities, truth = predictions.probabilities, predictions.positives
    _, own = fit_thresholds(probabilities, truth, goal)
    for column, threshold in enumerate(own):

        def scores(least, column=column):
            chosen = probabilities[:, column] >= least
            hits = (chosen & truth[:, column]).sum()
            return {"precision": hits / max(chosen.sum(), 1), "recall": hits / truth[:, column].sum()}

        assert scores(threshold)[goal.name] >= goal.value
        step = 0.03 if goal.name == "recall" else -0.03
        assert scores(threshold + step)[goal.name] < goal.value


def test_a_precision_that_no_threshold_reaches_gives_the_most_precise_one():
    probabilities = np.array([[0.9], [0.8], [0.7]])
    _, (threshold,) = fit_thresholds(probabilities, np.array([[False], [True], [False]]), Goal("precision", 0.9))
    assert 0.7 < threshold < 0.8


def test_one_clip_or_equal_logits_are_enough_to_fit():
    one = Predictions(("x",), np.zeros((1, 3), np.float32), np.array([1]), LABELS, False)
    assert MIN_TEMPERATURE <= fit(one, Wish(), "a split").temperature <= MAX_TEMPERATURE


def test_as_many_known_clips_are_rejected_as_was_asked_for():
    known = np.arange(100.0)
    assert (known < fit_min_energy(known, 0.05)).sum() == 5
    assert (known < fit_min_energy(known, 0.0)).sum() == 0
    assert (np.zeros(10) < fit_min_energy(np.zeros(10), 0.05)).sum() == 0
    predictions = single(400)
    assert (~decided(fit(predictions, Wish(rejected=0.1), "x"), predictions).any(axis=1)).mean() == pytest.approx(0.1)


def test_the_energy_of_one_label_is_logsumexp_and_of_several_the_sum_of_softplus():
    logits = np.array([[1.0, 2.0], [-800.0, 800.0]])
    np.testing.assert_allclose(energies(logits, False), [np.log(np.exp(1.0) + np.exp(2.0)), 800.0])
    np.testing.assert_allclose(energies(logits, True), [np.log1p(np.exp([1.0, 2.0])).sum(), 800.0])


def test_decisions_of_several_labels_are_not_worse_than_those_of_one_half():
    fitting, judged = several(2000, seed=1), several(2000, seed=2)
    found = fit(fitting, Wish(), "other clips")
    assert f1(decided(found, judged), judged.positives) > f1(judged.guessed, judged.positives)


def test_predictions_of_several_folds_are_joined():
    both = joined([single(10), replace(single(5, seed=1), ids=tuple("vwxyz"))])
    assert (len(both.ids), both.logits.shape, both.targets.shape) == (15, (15, 3), (15,))


def test_what_cannot_be_fitted_is_refused():
    broken = single(3)
    broken.logits[0, 0] = np.nan
    with pytest.raises(BadDataset, match="nothing can be fitted on valid of x"):
        fit(broken, Wish(), "valid of x")
    with pytest.raises(UserError, match=r"the precision is 1\.2"):
        Goal("precision", 1.2)
    with pytest.raises(UserError, match="the rate of rejected clips is 1"):
        Wish(rejected=1.0)
