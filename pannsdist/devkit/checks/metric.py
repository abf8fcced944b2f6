"""Conformance checks of metrics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pannsdist.devkit.checking import Check, Cost, Subject, require
from pannsdist.devkit.made_predictions import CLIPS, arrays_of, guesses, perfect, rows_of, scaled, without_labels

TASKS = tuple((multi_label, classes) for multi_label in (False, True) for classes in (2, 5, 12))
"""Kinds of task: (multi_label, number of classes)."""
TOLERANCE = 1e-9
"""Relative tolerance of a score for rounding from another order of additions."""


def it_declares_its_direction_and_its_tasks(subject: Subject) -> str:
    """`higher_is_better` is a bool, and `applies` accepts at least one kind of task."""
    metric = subject.plugin()
    better = metric.higher_is_better
    require(isinstance(better, bool), f"higher_is_better is {better!r}, expected True or False")
    applies = [metric.applies(*task) for task in TASKS]
    require(all(isinstance(value, (bool, np.bool_)) for value in applies), f"applies returns {applies[0]!r}")
    tasks = _tasks(metric)
    require(tasks, "it applies to no task of 2, 5 or 12 classes, single-label or multi-label")
    return f"{'higher' if better else 'lower'} is better, {len(tasks)} of {len(TASKS)} kinds of task"


def it_gives_a_finite_score_for_each_supported_task(subject: Subject) -> str:
    """A finite float, for predictions that cover every class and are partly correct."""
    metric = subject.plugin()
    scores = []
    for task in _tasks(metric):
        value = metric(guesses(*task))
        require(_is_number(value), f"it returns a {type(value).__name__} for {_words(task)}")
        require(math.isfinite(value), f"it returns {value} for {_words(task)}")
        scores.append(float(value))
    return f"{min(scores):.3g} to {max(scores):.3g}"


def it_is_deterministic_and_stateless(subject: Subject) -> str:
    """No state from one evaluation to the next, and no randomness."""
    metric = subject.plugin()
    for task in _tasks(metric):
        first = metric(guesses(*task))
        metric(guesses(*task, seed=1))
        require(_alike(first, metric(guesses(*task)), 0.0), f"the score differs the second time, for {_words(task)}")
        require(
            _alike(first, subject.plugin()(guesses(*task)), 0.0),
            f"a new instance gives another score, for {_words(task)}",
        )
    return "repeated, and with a new instance"


def its_input_is_not_modified(subject: Subject) -> str:
    """Other metrics use the same predictions, whose arrays are read-only in a run."""
    metric = subject.plugin()
    for task in _tasks(metric):
        given = guesses(*task)
        original = [array.copy() for array in arrays_of(given)]
        metric(given)
        same = all(np.array_equal(*pair) for pair in zip(original, arrays_of(given), strict=True))
        require(same, "it modifies the predictions in place")
        for array in arrays_of(given):
            array.setflags(write=False)
        metric(given)
    return f"{CLIPS} clips"


def the_order_of_the_clips_does_not_matter(subject: Subject) -> str:
    """Up to rounding."""
    metric = subject.plugin()
    for task in _tasks(metric):
        given = guesses(*task)
        first, reverse = metric(given), metric(rows_of(given, range(CLIPS)[::-1]))
        require(_alike(first, reverse), f"{first}, and in reverse order {reverse}, for {_words(task)}")
    return f"{CLIPS} clips, and the same in reverse order"


def correct_predictions_score_better_than_wrong_ones(subject: Subject) -> str:
    """In its declared direction: perfect predictions, and the same with negated logits."""
    metric = subject.plugin()
    scores_text = ""
    for task in _tasks(metric):
        right = perfect(*task)
        scores = float(metric(right)), float(metric(scaled(right, -1.0)))
        better = scores[0] > scores[1] if metric.higher_is_better else scores[0] < scores[1]
        words = f"higher_is_better is {metric.higher_is_better}"
        require(better, f"{words}, but correct scores {scores[0]} and wrong {scores[1]}, for {_words(task)}")
        scores_text = f"{scores[0]:.3g} and {scores[1]:.3g}"
    return scores_text


def degenerate_predictions_give_a_number_or_nan(subject: Subject) -> str:
    """A single clip, a single class, no labels, constant logits, very large logits."""
    metric = subject.plugin()
    for task in _tasks(metric):
        given = guesses(*task)
        cases = {
            "a single clip": rows_of(given, [0]),
            "clips of one class": rows_of(given, np.flatnonzero(given.positives[:, 0])),
            "constant logits": scaled(given, 0.0),
            "very large logits": scaled(given, 1e4),
        }
        if given.multi_label:
            cases["no labels"] = without_labels(given)
        for name, case in cases.items():
            value = metric(case)
            require(_is_number(value), f"{name}: it returns a {type(value).__name__}, for {_words(task)}")
    return "a single clip, one class, no labels, constant and large logits"


def _tasks(metric: Any) -> list[tuple[bool, int]]:
    return [task for task in TASKS if metric.applies(*task)]


def _words(task: tuple[bool, int]) -> str:
    return f"{task[1]} classes, {'multi-label' if task[0] else 'single-label'}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _alike(one: float, other: float, tolerance: float = TOLERANCE) -> bool:
    both_none = math.isnan(one) and math.isnan(other)
    return both_none or one == other or abs(one - other) <= tolerance * max(abs(one), abs(other))


CHECKS = (
    Check(it_declares_its_direction_and_its_tasks),
    Check(it_gives_a_finite_score_for_each_supported_task, Cost.COMPUTES),
    Check(it_is_deterministic_and_stateless, Cost.COMPUTES),
    Check(its_input_is_not_modified, Cost.COMPUTES),
    Check(the_order_of_the_clips_does_not_matter, Cost.COMPUTES),
    Check(correct_predictions_score_better_than_wrong_ones, Cost.COMPUTES),
    Check(degenerate_predictions_give_a_number_or_nan, Cost.COMPUTES),
)
