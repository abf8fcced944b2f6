"""What a schedule keeps to."""

from __future__ import annotations

import math
from typing import Any

from pannsdist.devkit.checking import Check, Subject, require
from pannsdist.devkit.checks.plugin import travelled

RUNS = ((1, 1), (1, 50), (7, 3), (100, 10), (600, 600), (3000, 250))
"""Runs by their steps and the steps of an epoch; one may end within its first epoch."""
HIGHEST = 10.0
"""An lr_factor above it is taken for a learning rate, or for a percentage."""


def a_run_of_a_single_step_has_an_lr_factor(subject: Subject) -> str:
    """Nothing is divided by the steps that are left."""
    return f"{_lr_factor(subject.opened(), 1, 1, 1):.3g}"


def its_lr_factor_is_a_finite_number_from_zero_up_at_every_step(subject: Subject) -> str:
    """Of short runs and long ones."""
    schedule = subject.opened()
    for total_steps, epoch_steps in RUNS:
        for step in range(1, total_steps + 1):
            _lr_factor(schedule, step, total_steps, epoch_steps)
    return f"{', '.join(str(total) for total, _ in RUNS)} steps"


def it_reaches_an_lr_factor_that_trains_and_none_that_is_a_learning_rate(subject: Subject) -> str:
    """Above 0 somewhere, since the peak is optimizer.learning_rate; and nowhere many times as much."""
    for total_steps, epoch_steps in RUNS[2:]:
        lr_factors = _lr_factors(subject.opened(), total_steps, epoch_steps)
        require(max(lr_factors) > 0.0, f"it is 0 at each of {total_steps} steps")
        high = max(lr_factors)
        require(high <= HIGHEST, f"it reaches {high:.3g}: it multiplies optimizer.learning_rate, such as 1")
    return f"{min(lr_factors):.3g} to {max(lr_factors):.3g}"


def a_step_has_the_same_lr_factor_whenever_it_is_asked_for(subject: Subject) -> str:
    """Forwards, backwards, once more, and of a new one: a run goes on from any step, and there is no state to save."""
    for total_steps, epoch_steps in RUNS[:4]:
        schedule = subject.opened()
        forwards = _lr_factors(schedule, total_steps, epoch_steps)
        backwards = [_lr_factor(schedule, step, total_steps, epoch_steps) for step in range(total_steps, 0, -1)][::-1]
        last = _lr_factor(subject.opened(), total_steps, total_steps, epoch_steps)
        require(
            forwards == backwards, f"it is another when {total_steps} steps are asked for from the last to the first"
        )
        require(forwards == _lr_factors(schedule, total_steps, epoch_steps), "it is another the second time")
        require(forwards[-1] == last, f"of a new one step {total_steps} has {last} and not {forwards[-1]}")
    return "forwards, backwards, of a new one"


def another_process_gets_the_same_lr_factors(subject: Subject) -> str:
    """Nothing of it depends on where it was built."""
    schedule = subject.opened()
    same = _lr_factors(schedule, 100, 10) == _lr_factors(travelled(schedule), 100, 10)
    require(same, "it is another behind the way to another process")
    return "pickled"


def _lr_factors(schedule: Any, total_steps: int, epoch_steps: int) -> list[float]:
    return [_lr_factor(schedule, step, total_steps, epoch_steps) for step in range(1, total_steps + 1)]


def _lr_factor(schedule: Any, step: int, total_steps: int, epoch_steps: int) -> float:
    value = schedule.lr_factor(step, total_steps, epoch_steps)
    where = f"at step {step} of {total_steps}, {epoch_steps} an epoch"
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    require(is_number, f"it is a {type(value).__name__} {where}: a float is wanted")
    require(math.isfinite(value) and value >= 0.0, f"it is {value} {where}")
    return float(value)


CHECKS = (
    Check(a_run_of_a_single_step_has_an_lr_factor),
    Check(its_lr_factor_is_a_finite_number_from_zero_up_at_every_step),
    Check(it_reaches_an_lr_factor_that_trains_and_none_that_is_a_learning_rate),
    Check(a_step_has_the_same_lr_factor_whenever_it_is_asked_for),
    Check(another_process_gets_the_same_lr_factors),
)
