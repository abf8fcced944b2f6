"""Thresholds of probabilities: one for all classes, and one for each class where its clips say so.

Axes: N clips, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from pannsdist.inference.decisions import MAX_THRESHOLD, MIN_THRESHOLD
from pannsdist.runtime.errors import UserError

DEFAULT = 0.5
CANDIDATES = 1000
"""Most thresholds that are tried for all classes together."""


@dataclass(frozen=True)
class Goal:
    """What thresholds are chosen for: the highest F1, or a `precision` or `recall` of at least `value`.

    Raises UserError for a value that no score can reach.
    """

    name: str = "f1"
    value: float = 0.0

    def __post_init__(self) -> None:
        if self.name != "f1" and not 0.0 < self.value <= 1.0:
            raise UserError(f"the {self.name} is {self.value:g}", "give a number above 0, up to 1, such as 0.9")


@dataclass(frozen=True, eq=False)
class Curve:
    """One class over its thresholds (K,), which rise: each lies between two probabilities of clips.

    `values` (K - 1,) are those probabilities. `hits` (K,) are the clips of the class that are chosen, `given` (K,) all
    that are, `positives` is the number of those that have it.
    """

    values: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    hits: NDArray[np.float64]
    given: NDArray[np.float64]
    positives: int

    @property
    def f1(self) -> NDArray[np.float64]:
        """(K,)."""
        return np.asarray(2.0 * self.hits / (self.given + self.positives))

    @property
    def precision(self) -> NDArray[np.float64]:
        """(K,), 1 where no clip is chosen."""
        return np.where(self.given > 0, self.hits / np.maximum(self.given, 1.0), 1.0)

    @property
    def recall(self) -> NDArray[np.float64]:
        """(K,)."""
        return np.asarray(self.hits / max(self.positives, 1))

    def at(self, thresholds: NDArray[np.float64] | float) -> NDArray[np.intp]:
        """The place among the thresholds with the same decisions as each of these."""
        return np.asarray(np.searchsorted(self.values, thresholds, side="left"))


def curve(probabilities: NDArray[np.floating], truth: NDArray[np.bool_]) -> Curve:
    """The curve of one class from its probabilities (N,) and the clips that have it (N,); equal ones stay together."""
    own = np.clip(np.asarray(probabilities, np.float32).astype(np.float64), MIN_THRESHOLD, MAX_THRESHOLD)
    values, place = np.unique(own, return_inverse=True)
    hits = np.bincount(place, weights=truth, minlength=len(values))
    counts = np.bincount(place, minlength=len(values))
    around = logit(np.concatenate([[MIN_THRESHOLD], values, [MAX_THRESHOLD]]))
    middles = np.clip(expit((around[:-1] + around[1:]) / 2), MIN_THRESHOLD, MAX_THRESHOLD)
    left_hits, left_given = (one.sum() - np.concatenate([[0.0], np.cumsum(one)]) for one in (hits, counts))
    return Curve(values, middles, left_hits, left_given, int(truth.sum()))


def fit_thresholds(
    probabilities: NDArray[np.floating], positives: NDArray[np.bool_], goal: Goal
) -> tuple[float, tuple[float, ...]]:
    """(the threshold that suits all classes best, the threshold of each class), from (N, C) and (N, C).

    For the highest F1 a class leaves the common threshold only where its own gains more than one clip decided otherwise
    would: with few clips the best threshold is that of chance. A precision or recall is reached by the class itself.
    A class without clips keeps the common threshold. Of equally good ones the middle is taken, in log odds.
    """
    curves = [curve(probabilities[:, column], positives[:, column]) for column in range(positives.shape[1])]
    seen = [one for one in curves if one.positives]
    common = _common(seen, goal) if seen else DEFAULT
    own = tuple(_of_class(one, goal, common) if one.positives else common for one in curves)
    return common, own


def _common(curves: list[Curve], goal: Goal) -> float:
    """The threshold for all classes: the highest mean F1 over the classes, or the mean precision or recall."""
    every = np.unique(np.concatenate([one.thresholds for one in curves]))
    if len(every) > CANDIDATES:
        every = every[np.unique(np.linspace(0, len(every) - 1, CANDIDATES).round().astype(int))]
    means = {
        name: np.mean([getattr(one, name)[one.at(every)] for one in curves], axis=0)
        for name in ("f1", "precision", "recall")
    }
    return best(every, quality(goal, **means))


def _of_class(one: Curve, goal: Goal, common: float) -> float:
    if goal.name != "f1":
        return best(one.thresholds, quality(goal, one.f1, one.precision, one.recall))
    here = int(one.at(common))
    by_chance = 2.0 / (one.positives + one.given[here])
    return best(one.thresholds, one.f1) if one.f1.max() - one.f1[here] > by_chance else common


def quality(
    goal: Goal, f1: NDArray[np.float64], precision: NDArray[np.float64], recall: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What the threshold is chosen by, from the scores (K,) at each: the highest is best."""
    return f1 if goal.name == "f1" else _reaching(goal, precision, recall)


def _reaching(goal: Goal, precision: NDArray[np.float64], recall: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is best where the goal is reached: the other score. Where it is reached nowhere, the goal's own score."""
    wanted, other = (precision, recall) if goal.name == "precision" else (recall, precision)
    is_reached = wanted >= goal.value - 1e-12
    if goal.name == "precision":
        is_reached &= recall > 0.0
        wanted = np.where(recall > 0.0, wanted, -1.0)
    return np.where(is_reached, 2.0 + other, wanted) if is_reached.any() else wanted


def best(thresholds: NDArray[np.float64], qualities: NDArray[np.float64]) -> float:
    """The threshold of the highest quality; of a run of equal ones the middle, of several runs the longest."""
    is_best = qualities >= qualities.max() - 1e-12
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_best.astype(int), [0]])))
    odds = logit(thresholds)
    runs = [(float(odds[last - 1] - odds[first]), first, last - 1) for first, last in edges.reshape(-1, 2)]
    _, first, last = max(runs, key=lambda run: (run[0], -run[1]))
    middle = expit((odds[first] + odds[last]) / 2)
    return float(np.clip(middle, MIN_THRESHOLD, MAX_THRESHOLD))
