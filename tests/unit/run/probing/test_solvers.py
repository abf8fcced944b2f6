"""The classifiers of a probe: scikit-learn's decisions, as weights of layers, whatever classes a fold has."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pannsdist.run.probing.choosing import Training, train
from pannsdist.run.probing.solvers import KINDS, Inputs, Task
from pannsdist.runtime.errors import BadDataset

SIZE = 12
RNG = np.random.default_rng(0)
CENTRES = RNG.normal(0, 1, (4, SIZE))


def drawn(targets, noise=0.3, seed=1):
    """Embeddings (N, E) around a centre for each class."""
    return 5.0 + CENTRES[targets] + np.random.default_rng(seed).normal(0, noise, (len(targets), SIZE))


def task(classes, multi_label=False):
    return Task([f"class{number}" for number in range(classes)], multi_label, 0)


def fit(kind, given, embeddings, targets, value=1.0):
    return KINDS[kind].fit(given, Inputs(embeddings), targets, value)


@pytest.mark.parametrize("clips", [8, 40])
def test_logistic_regression_is_that_of_scikit_learn_with_more_and_with_fewer_clips_than_dimensions(clips):
    targets = np.arange(clips) % 4
    embeddings, others = drawn(targets), drawn(np.arange(20) % 4, seed=2)
    fitted = fit("linear", task(4), embeddings, targets, 0.5)
    centred = embeddings - embeddings.mean(axis=0)
    size = np.sqrt((centred**2).mean())
    plain = LogisticRegression(C=0.5, max_iter=2000, tol=1e-8).fit(centred / size, targets)
    expected = plain.predict_proba((others - embeddings.mean(axis=0)) / size)
    found = np.exp(fitted.logits(others))
    np.testing.assert_allclose(found / found.sum(axis=1, keepdims=True), expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("present", [(0, 1), (0, 2, 3), (1, 3)])
def test_a_class_without_training_clips_is_never_decided(kind, present):
    targets = np.array(present * 6)
    fitted = fit(kind, task(4), drawn(targets), targets)
    logits = fitted.logits(drawn(np.arange(40) % 4, seed=3))
    assert set(logits.argmax(axis=1)) <= set(present)
    assert (fitted.logits(drawn(targets)).argmax(axis=1) == targets).all()


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_two_classes_have_the_probability_of_scikit_learns_single_logit(kind):
    targets = np.arange(20) % 2
    embeddings = drawn(targets)
    logits = fit(kind, task(2), embeddings, targets).logits(embeddings)
    assert logits.shape == (20, 2)
    np.testing.assert_allclose(logits.sum(axis=1), 0.0, atol=1e-9)
    assert (logits.argmax(axis=1) == targets).all()


@pytest.mark.parametrize("kind", KINDS)
def test_several_labels_a_clip_also_one_that_all_have_and_one_that_none_has(kind):
    numbers = np.arange(24) % 4
    targets = np.stack([numbers == 0, numbers >= 2, np.ones(24), np.zeros(24)], axis=1).astype(np.float32)
    logits = fit(kind, task(4, multi_label=True), drawn(numbers), targets).logits(drawn(numbers, seed=4))
    assert logits.shape == (24, 4)
    assert np.isfinite(logits).all()
    assert ((logits > 0) == targets).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_label_that_a_clip_may_have(kind):
    numbers = np.arange(24) % 2
    targets = numbers[:, None].astype(np.float32)
    logits = fit(kind, task(1, multi_label=True), drawn(numbers), targets).logits(drawn(numbers, seed=4))
    assert ((logits > 0) == targets).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_parameter_is_chosen_among_its_values_without_a_note(kind):
    targets = np.arange(12) % 2
    chosen = train(KINDS[kind], task(2), Training(drawn(targets), targets))
    assert chosen.value in KINDS[kind].values
    assert chosen.note == ""


def test_groups_are_never_divided_by_the_inner_folds():
    targets = np.repeat(np.arange(2), 12)
    groups = [f"speaker{number // 4}" for number in range(24)]
    seen = []
    kind = KINDS["linear"]

    def fitting(given, inputs, labels, value):
        seen.append({round(float(one), 6) for one in inputs.embeddings[:, 0]})
        return kind.fit(given, inputs, labels, value)

    embeddings = drawn(targets)
    train(
        type(kind)(kind.parameter, kind.values, kind.default, fitting), task(2), Training(embeddings, targets, groups)
    )
    of_group = [{round(float(one), 6) for one in embeddings[first : first + 4, 0]} for first in range(0, 24, 4)]
    assert all(group <= rows or not group & rows for rows in seen for group in of_group)
    assert len(seen) > len(kind.values)


def test_one_clip_of_a_class_leaves_the_default_with_a_note():
    targets = np.array([0, 0, 0, 1])
    chosen = train(KINDS["linear"], task(2), Training(drawn(targets), targets))
    assert chosen.value == KINDS["linear"].default
    assert "class 'class1' has a single clip" in chosen.note
    assert (chosen.fitted.logits(drawn(targets)).argmax(axis=1) == targets).all()


@pytest.mark.parametrize("kind", KINDS)
def test_clips_of_one_class_alone_are_refused(kind):
    targets = np.zeros(6, np.int64)
    with pytest.raises(BadDataset, match="all 6 training clips are labelled 'class0'"):
        train(KINDS[kind], task(3), Training(drawn(targets), targets))
    with pytest.raises(BadDataset, match="no training clip has a label"):
        train(KINDS[kind], task(3, multi_label=True), Training(drawn(targets), np.zeros((6, 3), np.float32)))
