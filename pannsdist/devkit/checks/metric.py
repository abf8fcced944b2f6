"""What a metric keeps to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pannsdist.contracts.predictions import Predictions
from pannsdist.devkit.checking import Check, Cost, Subject, require

TASKS = tuple((multi_label, classes) for multi_label in (False, True) for classes in (2, 5, 12))
"""Kinds of task: whether a clip may bear several labels, and how many there are."""
CLIPS = 60
TOLERANCE = 1e-9
"""What another order of additions may change of a score, of its size."""


def it_says_which_way_is_better_and_what_it_is_for(subject: Subject) -> str:
    """`higher_is_better` is True or False, and `applies` is for at least one kind of task."""
    metric = subject.opened()
    better = metric.higher_is_better
    require(isinstance(better, bool), f"higher_is_better is {better!r}: True or False is wanted")
    answers = [metric.applies(*task) for task in TASKS]
    require(all(isinstance(answer, (bool, np.bool_)) for answer in answers), f"applies gives {answers[0]!r}")
    tasks = _tasks(metric)
    require(tasks, "it applies to no task of 2, 5 or 12 classes, with one label a clip or several")
    return f"{'higher' if better else 'lower'} is better, {len(tasks)} of {len(TASKS)} kinds of task"


def it_gives_a_number_for_each_task_that_it_is_for(subject: Subject) -> str:
    """A float, and a finite one where every class is there and the guesses are neither right nor wrong."""
    metric = subject.opened()
    scores = []
    for task in _tasks(metric):
        value = metric(guesses(*task))
        require(_is_number(value), f"it gives a {type(value).__name__} for {_words(task)}")
        require(math.isfinite(value), f"it gives {value} for {_words(task)}")
        scores.append(float(value))
    return f"{min(scores):.3g} to {max(scores):.3g}"


def the_same_predictions_get_the_same_score_each_time(subject: Subject) -> str:
    """Nothing is remembered from one evaluation to the next, and nothing is drawn."""
    metric = subject.opened()
    for task in _tasks(metric):
        first = metric(guesses(*task))
        metric(guesses(*task, seed=1))
        require(_alike(first, metric(guesses(*task)), 0.0), f"another the second time, for {_words(task)}")
        require(_alike(first, subject.opened()(guesses(*task)), 0.0), f"another from a new one, for {_words(task)}")
    return "asked again, and asked of a new one"


def what_it_is_given_stays_as_it_is(subject: Subject) -> str:
    """Other metrics are computed from the same predictions, whose arrays cannot be written to."""
    metric = subject.opened()
    for task in _tasks(metric):
        given = guesses(*task)
        kept = [array.copy() for array in (given.logits, given.targets)]
        metric(given)
        same = all(np.array_equal(*pair) for pair in zip(kept, (given.logits, given.targets), strict=True))
        require(same, "it writes into the predictions that it is given")
        for array in (given.logits, given.targets):
            array.setflags(write=False)
        metric(given)
    return f"{CLIPS} clips"


def the_order_of_the_clips_does_not_matter(subject: Subject) -> str:
    """But for rounding."""
    metric = subject.opened()
    for task in _tasks(metric):
        given = guesses(*task)
        first, turned = metric(given), metric(_rows(given, list(range(CLIPS))[::-1]))
        require(_alike(first, turned), f"{first} and, the other way round, {turned}, for {_words(task)}")
    return f"{CLIPS} clips, and the other way round"


def what_is_right_scores_better_than_what_is_wrong(subject: Subject) -> str:
    """In the direction that it says: perfect predictions, and the same turned upside down."""
    metric = subject.opened()
    said = ""
    for task in _tasks(metric):
        right = perfect(*task)
        scores = float(metric(right)), float(metric(replace(right, logits=-right.logits)))
        better = scores[0] > scores[1] if metric.higher_is_better else scores[0] < scores[1]
        words = f"higher_is_better is {metric.higher_is_better}"
        require(better, f"{words}, but right scores {scores[0]} and wrong {scores[1]}, for {_words(task)}")
        said = f"{scores[0]:.3g} and {scores[1]:.3g}"
    return said


def what_cannot_be_scored_gets_a_number_or_nan_and_no_error(subject: Subject) -> str:
    """A single clip, clips of one class alone, no label at all, and the same logit for everything."""
    metric = subject.opened()
    for task in _tasks(metric):
        given = guesses(*task)
        truth = given.positives
        one_class = _rows(given, np.flatnonzero(truth[:, 0]))
        cases = {
            "a single clip": _rows(given, [0]),
            "clips of one class": one_class,
            "the same logit for everything": replace(given, logits=np.zeros_like(given.logits)),
            "very sure guesses": replace(given, logits=1e4 * given.logits),
        }
        if given.multi_label:
            cases["no label at all"] = replace(given, targets=np.zeros_like(given.targets))
        for name, case in cases.items():
            value = metric(case)
            require(_is_number(value), f"{name} gets a {type(value).__name__}, for {_words(task)}")
    return "a single clip, one class, no label, one logit"


def guesses(multi_label: bool, classes: int, seed: int = 0) -> Predictions:
    """Predictions better than chance and far from right, in which every class is there."""
    generator = np.random.default_rng(seed)
    right = perfect(multi_label, classes)
    logits = (0.3 * right.logits + generator.normal(0, 2, right.logits.shape)).astype(np.float32)
    return replace(right, logits=logits)


def perfect(multi_label: bool, classes: int) -> Predictions:
    """Predictions of which each is right, with some being surer than others; no two logits are alike."""
    generator = np.random.default_rng(7)
    labels = tuple(f"label {number}" for number in range(classes))
    first = np.arange(CLIPS) % classes
    truth = np.equal.outer(first, np.arange(classes))
    if multi_label:
        truth |= generator.random(truth.shape) < 0.2
        truth[-1] = False  # a clip without any label
    logits = (np.where(truth, 1, -1) * generator.uniform(2, 6, truth.shape)).astype(np.float32)
    targets = truth.astype(np.float32) if multi_label else first.astype(np.int64)
    ids = tuple(f"clip {number:03d}" for number in range(CLIPS))
    return Predictions(ids, logits, targets, labels, multi_label)


def _rows(given: Predictions, rows: Sequence[int] | np.ndarray) -> Predictions:
    chosen = list(rows)
    ids = tuple(given.ids[row] for row in chosen)
    return replace(given, ids=ids, logits=given.logits[chosen], targets=given.targets[chosen])


def _tasks(metric: Any) -> list[tuple[bool, int]]:
    return [task for task in TASKS if metric.applies(*task)]


def _words(task: tuple[bool, int]) -> str:
    return f"{task[1]} classes, {'several labels' if task[0] else 'one label'} a clip"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _alike(one: float, other: float, tolerance: float = TOLERANCE) -> bool:
    both_none = math.isnan(one) and math.isnan(other)
    return both_none or one == other or abs(one - other) <= tolerance * max(abs(one), abs(other))


CHECKS = (
    Check(it_says_which_way_is_better_and_what_it_is_for),
    Check(it_gives_a_number_for_each_task_that_it_is_for, Cost.COMPUTES),
    Check(the_same_predictions_get_the_same_score_each_time, Cost.COMPUTES),
    Check(what_it_is_given_stays_as_it_is, Cost.COMPUTES),
    Check(the_order_of_the_clips_does_not_matter, Cost.COMPUTES),
    Check(what_is_right_scores_better_than_what_is_wrong, Cost.COMPUTES),
    Check(what_cannot_be_scored_gets_a_number_or_nan_and_no_error, Cost.COMPUTES),
)
