"""The classifiers of a probe, trained by scikit-learn, as functions from embeddings to logits.

Axes: N clips, E size of the embedding, C classes of the dataset.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pannsdist.runtime.errors import BadDataset

Values = NDArray[np.float64]
HIDDEN_UNITS = 128
ABSENT_LOGIT = -20.0
"""Of a class without training clips: below the largest logit of the others, whose mean is 0."""
ITERATIONS = {"linear": 2000, "mlp": 300}


@dataclass(frozen=True)
class Task:
    """What is learned: `targets` are (N,) indices of the labels, or (N, C) of 0 and 1 if `multi_label`."""

    labels: Sequence[str]
    multi_label: bool
    seed: int


@dataclass(frozen=True)
class Fitted:
    """A trained classifier: `logits` maps embeddings (N, E) to (N, C).

    `layers` are the weights (in, out) and biases (out,) of the same function, with ReLU between them; empty for a
    classifier that is no layer of a network.
    """

    logits: Callable[[Values], Values]
    layers: tuple[tuple[Values, Values], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Basis:
    """Coordinates in which embeddings are centred and of unit size, and no more of them than clips.

    A penalty on the squared weights is the same in any rotated coordinates, so that a solution lies in the span of the
    clips: with fewer clips than dimensions this saves most of the work, and changes nothing.
    """

    mean: Values
    axes: Values
    """(E, D), divided by the size."""

    @classmethod
    def of(cls, embeddings: Values) -> Basis:
        """The basis of training embeddings (N, E)."""
        mean = embeddings.mean(axis=0)
        centred = embeddings - mean
        size = float(np.sqrt(np.mean(centred**2))) or 1.0
        if len(embeddings) >= embeddings.shape[1]:
            return cls(mean, np.eye(embeddings.shape[1]) / size)
        with threadpool_limits(1):
            return cls(mean, np.linalg.svd(centred, full_matrices=False)[2].T / size)

    def __call__(self, embeddings: Values) -> Values:
        """(N, E) -> (N, D)."""
        return np.asarray((embeddings - self.mean) @ self.axes)

    def folded(self, weight: Values, bias: Values) -> tuple[Values, Values]:
        """Weights (D, out) and biases on coordinates as those (E, out) on embeddings."""
        own = self.axes @ weight
        return own, bias - self.mean @ own


@dataclass(frozen=True)
class Inputs:
    """Training embeddings (N, E) and their coordinates (N, D) in a basis, computed once for all values."""

    embeddings: Values

    @cached_property
    def basis(self) -> Basis:
        """The basis of these embeddings."""
        return Basis.of(self.embeddings)

    @cached_property
    def coordinates(self) -> Values:
        """The embeddings in it."""
        return self.basis(self.embeddings)


@dataclass(frozen=True)
class Kind:
    """A kind of classifier. `values` of its one `parameter` are tried, the most regular first; `default` is one."""

    parameter: str
    values: tuple[float, ...]
    default: float
    fit: Callable[[Task, Inputs, NDArray[Any], float], Fitted]


def fit_linear(task: Task, given: Inputs, targets: NDArray[Any], value: float) -> Fitted:
    """Logistic regression with an L2 penalty of 1 / value; of several labels a clip one for each label."""
    inputs, basis = given.coordinates, given.basis
    if not task.multi_label:
        weight, bias = _spread(task, *_logistic(inputs, targets, value))
    else:
        columns = [_of_label(inputs, targets[:, column], value) for column in range(len(task.labels))]
        weight, bias = np.stack([one for one, _ in columns], axis=1), np.array([one for _, one in columns])
    layers = (basis.folded(weight, bias),)
    return Fitted(partial(_run, layers), layers)


def fit_mlp(task: Task, given: Inputs, targets: NDArray[Any], value: float) -> Fitted:
    """A network with one hidden layer of ReLU and weight decay `value`."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        (HIDDEN_UNITS,), alpha=value, solver="lbfgs", max_iter=ITERATIONS["mlp"], random_state=task.seed
    )
    one_label = task.multi_label and targets.shape[1] == 1
    _fit(model, given.coordinates, targets[:, 0] if one_label else targets)
    (hidden, last), (hidden_bias, last_bias) = model.coefs_, model.intercepts_
    if not task.multi_label:
        last, last_bias = _spread(task, model.classes_, last, last_bias)
    layers = (given.basis.folded(hidden, hidden_bias), (last, last_bias))
    return Fitted(partial(_run, layers), layers)


def fit_knn(task: Task, given: Inputs, targets: NDArray[Any], value: float) -> Fitted:
    """The `value` nearest clips by the angle between embeddings, near ones with more weight."""
    from sklearn.neighbors import KNeighborsClassifier

    embeddings = given.embeddings
    count = min(round(value), len(embeddings))
    model = KNeighborsClassifier(count, metric="cosine", weights="distance", algorithm="brute")
    model.fit(embeddings, np.zeros(len(embeddings), np.int64))
    positives = targets if task.multi_label else (targets[:, None] == np.arange(len(task.labels)))

    def logits(others: Values) -> Values:
        distances, rows = model.kneighbors(others)
        weights = 1.0 / np.maximum(distances, 1e-12)
        weights /= weights.sum(axis=1, keepdims=True)
        found = np.clip((weights[:, :, None] * positives[rows]).sum(axis=1), 1e-6, 1 - 1e-6)
        return np.asarray(np.log(found) - np.log1p(-found) if task.multi_label else np.log(found))

    return Fitted(logits)


KINDS: Mapping[str, Kind] = {
    "linear": Kind("C", (1e-3, 1e-2, 1e-1, 1.0), 1.0, fit_linear),
    "mlp": Kind("alpha", (10.0, 1.0, 1e-1, 1e-2), 1.0, fit_mlp),
    "knn": Kind("k", (20.0, 10.0, 5.0, 3.0, 1.0), 1.0, fit_knn),
}


def _run(layers: Sequence[tuple[Values, Values]], given: Values) -> Values:
    for number, (weight, bias) in enumerate(layers):
        given = (np.maximum(given, 0.0) if number else given) @ weight + bias
    return np.asarray(given)


def _logistic(inputs: Values, targets: NDArray[Any], value: float) -> tuple[Values, Values, Values]:
    """(classes, weights (D, K), biases (K,)) of a logistic regression; K is 1 for two classes."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=value, max_iter=ITERATIONS["linear"])
    _fit(model, inputs, targets)
    return model.classes_, model.coef_.T, model.intercept_


def _of_label(inputs: Values, targets: NDArray[Any], value: float) -> tuple[Values, float]:
    """Weights (D,) and bias of one label; of one that all clips have or none, its smoothed frequency alone."""
    present = targets > 0.5
    positive, negative = int(present.sum()), int((~present).sum())
    if not positive or not negative:
        return np.zeros(inputs.shape[1]), float(np.log((positive + 0.5) / (negative + 0.5)))
    _, weight, bias = _logistic(inputs, present.astype(np.int64), value)
    return weight[:, 0], float(bias[0])


def _fit(model: Any, inputs: Values, targets: NDArray[Any]) -> None:
    """Fit on one thread: the problems are small, and threads that wait for each other take longer."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # the solution at the last iteration is scored as it is
        model.fit(inputs, targets)


def _spread(task: Task, classes: Values, weight: Values, bias: Values) -> tuple[Values, Values]:
    """The last layer for all labels: two columns where scikit-learn has one logit, and constants for absent classes."""
    if weight.shape[1] == 1:
        weight, bias = np.concatenate([-weight, weight], axis=1) / 2, np.concatenate([-bias, bias]) / 2
    weight, bias = weight - weight.mean(axis=1, keepdims=True), bias - bias.mean()
    all_weights = np.zeros((len(weight), len(task.labels)))
    all_biases = np.full(len(task.labels), ABSENT_LOGIT)
    all_weights[:, classes], all_biases[classes] = weight, bias
    return all_weights, all_biases


def refuse_one_class(task: Task, targets: NDArray[Any]) -> None:
    """Raise BadDataset where all training clips have one and the same label, or none has any."""
    if not task.multi_label and len(found := np.unique(targets)) < 2:
        wrong = f"all {len(targets)} training clips are labelled '{task.labels[int(found[0])]}'"
        raise BadDataset(wrong, "a classifier needs clips of two classes")
    if task.multi_label and not targets.any():
        raise BadDataset("no training clip has a label", "label some, or check the split")
