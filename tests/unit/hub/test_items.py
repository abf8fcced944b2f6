"""Which items each process reads."""

import itertools

import numpy as np
import pytest

from pannsdist.audio.batches import Shard
from pannsdist.hub.items import TrainingRows, evaluation_rows


@pytest.mark.parametrize(
    ("count", "size", "batch_size"), list(itertools.product((1, 2, 5, 8, 13), (1, 2, 3), (1, 2, 4)))
)
def test_an_epoch_visits_every_item_once_but_those_that_not_every_process_can_have(count, size, batch_size):
    plans = [TrainingRows(count, batch_size, Shard(rank, size), seed=0) for rank in range(size)]
    epochs = [list(plan.epoch(1)) for plan in plans]
    assert {len(steps) for steps in epochs} == {plan.steps for plan in plans}
    read = [int(row) for steps in epochs for rows in steps for row in rows]
    assert len(read) == len(set(read)) and set(read) <= set(range(count))
    assert count - len(read) == (count % (size * batch_size) if count % (size * batch_size) < size else 0)
    assert all(1 <= len(rows) <= batch_size for steps in epochs for rows in steps)


def test_two_processes_read_together_what_one_reads_with_twice_the_batch():
    alone = list(TrainingRows(13, 4, Shard(0, 1), seed=0).epoch(3))
    both = [list(TrainingRows(13, 2, Shard(rank, 2), seed=0).epoch(3)) for rank in range(2)]
    assert len(both[0]) == 3
    for step in range(3):
        assert np.array_equal(np.concatenate([both[0][step], both[1][step]]), alone[step])


def test_the_order_is_another_in_each_epoch():
    plan = TrainingRows(8, 8, Shard(0, 1), seed=0)
    assert not np.array_equal(*(next(plan.epoch(epoch)) for epoch in (1, 2)))


@pytest.mark.parametrize(("count", "size"), list(itertools.product((1, 4, 11), (1, 2, 3))))
def test_an_evaluation_reads_every_item_once(count, size):
    batches = [list(evaluation_rows(count, 3, Shard(rank, size))) for rank in range(size)]
    assert sorted(row for share in batches for rows in share for row in rows) == list(range(count))
    assert sorted(rows.start for share in batches for rows in share) == list(range(0, count, 3))
