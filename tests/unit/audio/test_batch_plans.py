"""Which rows each process gets, for every number of clips up to 200 and every world up to 64, by enumeration."""

from itertools import chain

import numpy as np
import pytest

from pannsdist.audio.batches import Shard
from pannsdist.audio.sampling import epoch_steps
from pannsdist.runtime import seeding

pytestmark = pytest.mark.any_paddle
WORLDS, CLIPS = range(1, 65), range(1, 201)


@pytest.mark.parametrize("of_each", [1, 3])
def test_the_processes_of_every_world_read_every_batch_once_and_in_order(of_each):
    for size in WORLDS:
        batch_size = of_each * size
        slices = [Shard(rank, size).of_batch(batch_size) for rank in range(size)]
        for count in CLIPS:
            order = range(count)
            steps = epoch_steps(count, batch_size)
            starts = range(0, steps * batch_size, batch_size)
            read = [order[start : start + batch_size][local] for start in starts for local in slices]
            assert {len(rows) for rows in read} <= {of_each}
            assert list(chain.from_iterable(read)) == list(order[: steps * batch_size]), (size, count)
            assert count - steps * batch_size < batch_size


@pytest.mark.parametrize("batch_size", [5, 32])
def test_the_processes_of_every_world_evaluate_every_clip_once_in_the_same_batches(batch_size):
    for count in CLIPS:
        alone = [(rows.start, rows.stop) for rows in Shard(0, 1).evaluation_batches(count, batch_size)]
        assert [start for start, _ in alone] == [0, *(stop for _, stop in alone[:-1])]
        assert alone[-1][1] == count
        for size in WORLDS:
            by_rank = [Shard(rank, size).evaluation_batches(count, batch_size) for rank in range(size)]
            together = [(rows.start, rows.stop) for batches in by_rank for rows in batches]
            assert sorted(together) == alone, (size, count)


def test_a_million_clips_are_read_once_by_1024_processes():
    clips, size, batch_size = 1_000_000, 1024, 8192
    order = seeding.epoch_order(clips, 1, 1)
    steps = epoch_steps(clips, batch_size)
    batches = order[: steps * batch_size].reshape(steps, batch_size)
    read = np.zeros(clips, np.uint8)
    for rank in range(size):
        read[batches[:, Shard(rank, size).of_batch(batch_size)]] += 1
    assert (read.max(), read.sum()) == (1, steps * batch_size)
    assert clips - read.sum() < batch_size


def test_1024_processes_evaluate_a_million_clips_once():
    count, size, batch_size = 1_000_000, 1024, 32
    read = np.zeros(count, np.uint8)
    for rank in range(size):
        for rows in Shard(rank, size).evaluation_batches(count, batch_size):
            read[rows] += 1
    assert (read.min(), read.max()) == (1, 1)
