"""Which items each process reads."""

import itertools

import numpy as np
import pytest
from fake_model import FRONT_END

from pannsdist.audio.batches import Shard
from pannsdist.hub.items import InputSpec, Items, TrainingRows, evaluation_rows
from pannsdist.runtime.errors import UserError


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


class Pairs:
    """A dataset of the given items."""

    sample_rate = 8000

    def __init__(self, *items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def test_the_shortest_features_the_last_class_and_the_loudest_sound_are_accepted_and_no_more():
    spec = InputSpec(FRONT_END, minimum_samples=512, classes=3)
    shortest = np.zeros((spec.minimum_frames, FRONT_END.bins), np.float32)
    assert Items(Pairs((shortest, 2)), spec).read([0]).targets.tolist() == [2]
    for item, says in {
        "frames": ((shortest[1:], 2), "the network needs at least"),
        "class": ((shortest, 3), "has the label 3"),
        "int16": ((np.full(8000, 1000.0), 0), "integers stored as floats"),
        "NaN": ((np.array([0.0, np.nan]), 0), "NaN or infinite"),
    }.values():
        with pytest.raises(UserError, match=says):
            Items(Pairs(item), spec).read([0])
