"""One, two and four real processes train on the same batches with the same losses."""

import numpy as np
import pytest

SIZES = (2, 4)
BY_FRAME = [("events", 1e-4), ("events accumulated", 1e-4)]
RUNS = ("pairs with SGD", "free with AdamW", "waveforms", "by length", "events", "events accumulated")


@pytest.fixture(scope="module")
def worlds(alone, two, four, results):  # noqa: ARG001 - they write the results
    """Losses of 50 steps of one, two and four processes, and all that a step is given."""
    return results("world_sizes")


def steps(worlds, size, name):
    """What the steps of a world saw, the processes' parts in the order of their ranks."""
    parts = [worlds.json(f"seen.{rank}of{size}")[name][0] for rank in range(size)]
    return [[row for part in step for row in part] for step in zip(*parts, strict=True)]


def losses(worlds, size, name):
    return np.sum([worlds.json(f"seen.{rank}of{size}")[name][1] for rank in range(size)], axis=0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", RUNS)
def test_the_same_clips_come_in_the_same_order_with_the_same_crops_augmentation_masks_and_partners(worlds, name, size):
    alone, together = steps(worlds, 1, name), steps(worlds, size, name)
    assert len(alone) == 50
    assert all(len(step) == 8 for step in alone)
    assert together == alone


@pytest.mark.parametrize("name", RUNS)
def test_what_is_seen_is_drawn_anew_for_each_clip(worlds, name):
    """Otherwise the comparison above would compare nothing."""
    rows = [row for step in steps(worlds, 1, name) for row in step]
    waveforms, masks = {row[2] for row in rows}, {row[3] for row in rows}
    assert len(waveforms) > 0.9 * len(rows)
    assert len(masks) > 0.9 * len(rows)


@pytest.mark.parametrize("size", (1, *SIZES))
def test_grouped_by_length_every_process_pads_a_batch_to_the_same_length(worlds, size):
    lengths = [{row[1] for row in step} for step in steps(worlds, size, "by length")]
    assert {len(step) for step in lengths} == {1}
    assert len(set.union(*lengths)) > 4


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "tolerance"), [("pairs with SGD", 1e-5), ("free with AdamW", 1e-4), *BY_FRAME])
def test_losses_over_fifty_steps_agree(worlds, name, tolerance, size):
    alone, together = losses(worlds, 1, name), losses(worlds, size, name)
    assert alone[-10:].mean() < alone[:10].mean(), "nothing was learnt, so that nothing was compared"
    assert np.abs(together / alone - 1).max() <= tolerance


@pytest.mark.parametrize("size", (1, *SIZES))
def test_losses_of_events_do_not_depend_on_the_number_of_micro_batches(worlds, size):
    at_once, in_parts = losses(worlds, size, "events"), losses(worlds, size, "events accumulated")
    assert np.abs(in_parts / at_once - 1).max() <= 1e-4
    assert (in_parts != at_once).any(), "nothing was accumulated"
