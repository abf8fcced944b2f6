"""What a process takes out of a snapshot that others made too."""

import numpy as np

from pannsdist.training.state import Progress, own_statistics, own_window

STATISTICS = {
    "0/norm._mean": np.array([0.1, 0.2], np.float32),
    "1/norm._mean": np.array([0.3, 0.8], np.float32),
}


def test_each_process_goes_on_with_its_own_statistics():
    for rank in range(2):
        own = own_statistics(STATISTICS, rank, 2)
        assert own.keys() == {"norm._mean"}
        assert own["norm._mean"] is STATISTICS[f"{rank}/norm._mean"]


def test_another_number_of_processes_goes_on_with_the_mean():
    for size in (1, 3):
        own = own_statistics(STATISTICS, size - 1, size)
        np.testing.assert_allclose(own["norm._mean"], [0.2, 0.5], rtol=1e-7)
        assert own["norm._mean"].dtype == np.float32


def test_where_all_had_the_same_there_is_nothing_to_put_back():
    assert own_statistics({}, 1, 2) == {}


def test_sums_go_to_the_process_that_made_them_or_all_to_the_first():
    window = [[0.5, 3.0], [0.25, 2.0]]
    assert [own_window(window, rank, 2) for rank in range(2)] == [(0.5, 3.0), (0.25, 2.0)]
    assert own_window(window, 0, 1) == (0.75, 5.0)
    assert [own_window(window, rank, 3) for rank in range(3)] == [(0.75, 5.0), (0.0, 0.0), (0.0, 0.0)]
    assert own_window((), 0, 1) == (0.0, 0.0)


def test_progress_says_where_it_is():
    assert str(Progress(3, 12, 12)) == "epoch 3"
    assert str(Progress(3, 13, 12)) == "step 13"
