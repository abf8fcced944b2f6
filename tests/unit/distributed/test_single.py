"""A world of one process refuses what would hang several."""

import numpy as np
import paddle
import pytest

from pannsdist.distributed.single import SingleProcessWorld

WORLD = SingleProcessWorld()
FOR_ALL = {
    "wrap_model": lambda: WORLD.wrap_model(paddle.nn.Linear(1, 1)),
    "all_reduce_sum": lambda: WORLD.all_reduce_sum(1.0),
    "sum_tensor": lambda: WORLD.sum_tensor(paddle.ones([2])),
    "all_gather": lambda: WORLD.all_gather(0),
    "sync_statistics": lambda: WORLD.sync_statistics(paddle.nn.BatchNorm1D(1)),
    "broadcast_arrays": lambda: WORLD.broadcast_arrays({"a": np.zeros(1)}),
    "agree": lambda: WORLD.agree(lambda: 0),
    "on_main": lambda: WORLD.on_main(lambda: 0),
}


@pytest.mark.parametrize("name", FOR_ALL)
@pytest.mark.parametrize("around", [WORLD.agree, WORLD.on_main])
def test_agreed_work_must_not_wait_for_other_processes(name, around):
    with pytest.raises(RuntimeError, match="must not wait for them"):
        around(FOR_ALL[name])
    FOR_ALL[name]()


def test_what_failed_in_agreed_work_is_raised_and_the_next_is_not_refused():
    with pytest.raises(KeyError):
        WORLD.agree(lambda: {}["x"])
    assert WORLD.all_gather(1) == [1]
