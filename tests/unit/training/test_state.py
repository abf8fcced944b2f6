"""The part of a snapshot that belongs to each process."""

import numpy as np
import pytest

from pannsdist.training.state import Progress, Snapshot, at_epoch_start, own_statistics, own_window

STATISTICS = {
    "0/norm._mean": np.array([0.1, 0.2], np.float32),
    "1/norm._mean": np.array([0.3, 0.8], np.float32),
}


def test_each_process_restores_its_own_statistics():
    for rank in range(2):
        own = own_statistics(STATISTICS, rank, 2)
        assert own.keys() == {"norm._mean"}
        assert own["norm._mean"] is STATISTICS[f"{rank}/norm._mean"]


def test_another_number_of_processes_restores_the_mean():
    for size in (1, 3):
        own = own_statistics(STATISTICS, size - 1, size)
        np.testing.assert_allclose(own["norm._mean"], [0.2, 0.5], rtol=1e-7)
        assert own["norm._mean"].dtype == np.float32


def test_the_mean_of_large_and_small_statistics_is_exact_to_float32():
    values = {f"{rank}/norm._mean": np.array([value], np.float32) for rank, value in enumerate((2.0**24, 1.0, 1.0))}
    assert own_statistics(values, 0, 1)["norm._mean"] == np.float32((2**24 + 2) / 3)


def test_equal_statistics_of_all_processes_need_no_restoring():
    assert own_statistics({}, 1, 2) == {}


def test_loss_sums_go_to_their_own_process_or_all_to_rank_0():
    window = [[0.5, 3.0], [0.25, 2.0]]
    assert [own_window(window, rank, 2) for rank in range(2)] == [(0.5, 3.0), (0.25, 2.0)]
    assert own_window(window, 0, 1) == (0.75, 5.0)
    assert [own_window(window, rank, 3) for rank in range(3)] == [(0.75, 5.0), (0.0, 0.0), (0.0, 0.0)]
    assert own_window((), 0, 1) == (0.0, 0.0)


BEST = {"metric": "valid/accuracy", "value": 0.5, "epoch": 1, "best_epochs": [{"value": 0.5, "epoch": 1, "step": 4}]}


@pytest.mark.parametrize("keep_best", [True, False])
def test_an_epoch_that_starts_again_keeps_what_was_counted_but_no_step_of_an_earlier_checkpoint(keep_best):
    """In the third epoch of four steps; epochs have three steps now."""
    progress = Progress(2, 9, 8, {"valid/accuracy": 0.25}, BEST, [1.0, 4.0], [[0.5, 2.0]], 1, 5, 2, 4)
    moved = at_epoch_start(Snapshot(progress, {}, {}), 3, keep_best).progress
    assert (moved.epoch, moved.step, moved.evaluated_step, moved.epoch_steps) == (2, 6, 6, 3)
    assert (moved.bad_steps, moved.consecutive_bad_steps, moved.window_steps) == (5, 0, 0)
    assert (list(moved.epoch_sum), list(moved.window)) == ([0.0, 0.0], [])
    if keep_best:
        assert moved.best == {**BEST, "best_epochs": [{"value": 0.5, "epoch": 1, "step": 0}]}
    else:
        assert moved.best == {**BEST, "value": None, "epoch": 0, "best_epochs": [], "since": 2}
