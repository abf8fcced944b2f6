"""Conformance checks of schedules."""

from __future__ import annotations

import math
from typing import Any

from pannsdist.devkit.checking import Check, Subject, require
from pannsdist.devkit.checks.plugin import pickle_round_trip

RUNS = ((1, 1), (1, 50), (7, 3), (100, 10), (600, 600), (3000, 250))
"""Pairs (total_steps, epoch_steps); a run may end within its first epoch."""
HIGHEST = 10.0
"""A larger lr_factor is probably a percentage."""


def a_run_of_a_single_step_has_an_lr_factor(subject: Subject) -> str:
    """No division by the number of remaining steps."""
    return f"{_lr_factor(subject.plugin(), 1, 1, 1):.3g}"


def its_lr_factor_is_finite_and_not_negative_at_every_step(subject: Subject) -> str:
    """For short and long runs."""
    schedule = subject.plugin()
    for total_steps, epoch_steps in RUNS:
        for step in range(1, total_steps + 1):
            _lr_factor(schedule, step, total_steps, epoch_steps)
    return f"{', '.join(str(total) for total, _ in RUNS)} steps"


def its_highest_lr_factor_is_above_zero_and_at_most_ten(subject: Subject) -> str:
    """It multiplies optimizer.learning_rate, so its maximum is near 1."""
    for total_steps, epoch_steps in RUNS[2:]:
        lr_factors = _lr_factors(subject.plugin(), total_steps, epoch_steps)
        require(max(lr_factors) > 0.0, f"it is 0 at all {total_steps} steps")
        high = max(lr_factors)
        require(high <= HIGHEST, f"it reaches {high:.3g}: it multiplies optimizer.learning_rate, such as 1")
    return f"{min(lr_factors):.3g} to {max(lr_factors):.3g}"


def its_lr_factor_depends_on_the_step_alone(subject: Subject) -> str:
    """A pure function of the step, in any order of calls: a run resumes at any step, and no state is saved."""
    for total_steps, epoch_steps in RUNS[:4]:
        schedule = subject.plugin()
        forwards = _lr_factors(schedule, total_steps, epoch_steps)
        backwards = [_lr_factor(schedule, step, total_steps, epoch_steps) for step in range(total_steps, 0, -1)][::-1]
        last = _lr_factor(subject.plugin(), total_steps, total_steps, epoch_steps)
        require(forwards == backwards, f"it differs when {total_steps} steps are computed in reverse order")
        require(forwards == _lr_factors(schedule, total_steps, epoch_steps), "it differs the second time")
        require(forwards[-1] == last, f"a new instance gives {last} at step {total_steps}, not {forwards[-1]}")
    return "forwards, backwards, and by a new instance"


def pickling_does_not_change_its_lr_factors(subject: Subject) -> str:
    """A pickled copy gives equal factors."""
    schedule = subject.plugin()
    same = _lr_factors(schedule, 100, 10) == _lr_factors(pickle_round_trip(schedule), 100, 10)
    require(same, "it differs after a pickle round trip")
    return "pickled"


def _lr_factors(schedule: Any, total_steps: int, epoch_steps: int) -> list[float]:
    return [_lr_factor(schedule, step, total_steps, epoch_steps) for step in range(1, total_steps + 1)]


def _lr_factor(schedule: Any, step: int, total_steps: int, epoch_steps: int) -> float:
    value = schedule.lr_factor(step, total_steps, epoch_steps)
    where = f"at step {step} of {total_steps}, with {epoch_steps} steps per epoch"
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    require(is_number, f"it is a {type(value).__name__} {where}, expected a float")
    require(math.isfinite(value) and value >= 0.0, f"it is {value} {where}")
    return float(value)


CHECKS = (
    Check(a_run_of_a_single_step_has_an_lr_factor),
    Check(its_lr_factor_is_finite_and_not_negative_at_every_step),
    Check(its_highest_lr_factor_is_above_zero_and_at_most_ten),
    Check(its_lr_factor_depends_on_the_step_alone),
    Check(pickling_does_not_change_its_lr_factors),
)
