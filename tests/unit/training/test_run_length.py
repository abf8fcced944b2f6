"""When a run evaluates, saves and ends."""

import pytest

from pannsdist.training.run_length import RunLength
from pannsdist.training.state import Progress


def run_length(**how):
    return RunLength(epochs=3, steps=4, seed=0, report_every_steps=10, **how)


@pytest.mark.parametrize(("max_steps", "total"), [(None, 12), (10, 10), (12, 12), (99, 12)])
def test_max_steps_can_only_shorten_a_run(max_steps, total):
    assert run_length(max_steps=max_steps).total_steps == total


@pytest.mark.parametrize(
    ("step", "evaluated", "due"),
    [(0, 0, 4), (3, 0, 4), (4, 0, 4), (4, 4, 8), (5, 4, 8), (8, 8, 10), (10, 8, 10), (9, 9, 10)],
)
def test_evaluations_are_due_at_the_ends_of_epochs_and_of_the_run(step, evaluated, due):
    assert run_length(max_steps=10).next_evaluation_step(step, evaluated) == due


def test_a_run_has_finished_when_its_last_step_is_evaluated():
    assert not run_length().has_finished(Progress(2, 12, 8))
    assert run_length().has_finished(Progress(3, 12, 12))
    assert not run_length(max_steps=10).has_finished(Progress(2, 10, 8))
    assert run_length(max_steps=10).has_finished(Progress(3, 10, 10))


@pytest.mark.parametrize(
    ("epoch", "best_epoch", "over"), [(2, 2, False), (2, 1, False), (2, 0, True), (1, 0, False), (0, 0, False)]
)
def test_patience_ends_a_run_after_consecutive_epochs_without_a_new_best(epoch, best_epoch, over):
    progress = Progress(epoch, 4 * epoch, 4 * epoch, {}, {"epoch": best_epoch})
    assert run_length(patience_epochs=2).has_finished(progress) is over
    assert not run_length().has_finished(progress)


def test_patience_does_not_end_a_run_in_the_middle_of_an_epoch():
    assert not run_length(patience_epochs=2).has_finished(Progress(2, 9, 8, {}, {"epoch": 0}))


@pytest.mark.parametrize(
    ("step", "saved", "due"), [(2, 0, False), (3, 0, True), (4, 0, True), (3, 3, False), (5, 4, False), (6, 4, True)]
)
def test_a_late_checkpoint_does_not_shift_the_next_one(step, saved, due):
    assert run_length(save_every_steps=3).is_save_due(step, saved) is due
    assert not run_length().is_save_due(step, saved)


@pytest.mark.parametrize(
    ("step", "evaluated", "said"),
    [
        (0, 0, "before the first step"),
        (1, 0, "in epoch 1, after step 1 of 4"),
        (4, 0, "in epoch 1, after step 4 of 4, before its evaluation"),
        (4, 4, "after epoch 1"),
        (5, 4, "in epoch 2, after step 1 of 4"),
        (10, 10, "in epoch 3, after step 2 of 4"),
        (12, 12, "after epoch 3"),
    ],
)
def test_a_position_within_an_epoch_is_told_from_its_end(step, evaluated, said):
    """Also where `max_steps` or `max_minutes` ended and evaluated an epoch early."""
    assert run_length().position(step, evaluated) == said


def test_patience_begins_again_where_the_comparison_did():
    progress = Progress(3, 12, 12, {}, {"epoch": 0, "since": 2})
    longer = RunLength(epochs=9, steps=4, seed=0, report_every_steps=10, patience_epochs=2)
    assert not longer.has_finished(progress)
    assert longer.has_finished(Progress(4, 16, 16, {}, progress.best))


def test_steps_count_on_from_longer_epochs_before():
    length = RunLength(epochs=4, steps=2, seed=0, report_every_steps=10, offset=5)
    assert [length.epoch_end(epoch) for epoch in (2, 3, 4)] == [9, 11, 13]
    assert [length.next_evaluation_step(step, 9) for step in (9, 10, 11)] == [11, 11, 11]
    assert (length.current_epoch(10, 9), length.total_steps) == (3, 13)
