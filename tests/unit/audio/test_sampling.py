"""The order of the clips in an epoch."""

import numpy as np
import pytest

from pannsdist.audio.sampling import epoch_indices, occurrences
from pannsdist.audio.targets import MultiHot

SIZES = (60, 25, 10, 5)
TARGETS = np.repeat(np.arange(4), SIZES)
SEVERAL = np.zeros((100, 5), np.float32)
"""Five classes: one of everybody but the last ten, one of ten, one of four, one of nobody, one of one."""
SEVERAL[:90, 0] = SEVERAL[:10, 1] = SEVERAL[6:10, 2] = SEVERAL[20, 4] = 1


@pytest.mark.parametrize("sampling", ["shuffled", "balanced", "weighted"])
@pytest.mark.parametrize("targets", [TARGETS, MultiHot.of(SEVERAL)], ids=["one label", "several labels"])
def test_an_epoch_is_a_function_of_seed_and_epoch_and_has_as_many_places_as_clips(sampling, targets):
    drawn = {
        (seed, epoch): epoch_indices(targets, sampling, seed, epoch).tolist() for seed in (0, 1) for epoch in (1, 2)
    }
    assert all(len(rows) == 100 for rows in drawn.values())
    assert len({tuple(rows) for rows in drawn.values()}) == 4
    assert epoch_indices(targets, sampling, 1, 2).tolist() == drawn[1, 2]


def test_balanced_takes_every_class_equally_often_at_any_time():
    rows = epoch_indices(TARGETS, "balanced", 0, 1)
    np.testing.assert_array_equal(np.bincount(TARGETS[rows]), [25, 25, 25, 25])
    for first in range(0, 100, 4):
        assert sorted(TARGETS[rows[first : first + 4]]) == [0, 1, 2, 3]


def test_balanced_takes_each_clip_of_a_class_before_any_comes_again():
    rows = epoch_indices(TARGETS, "balanced", 0, 1)
    for target, size in enumerate(SIZES):
        counts = np.bincount(rows[TARGETS[rows] == target], minlength=100)[target == TARGETS]
        assert counts.sum() == 25
        assert counts.max() - counts.min() <= 1, f"{size} clips"


def test_balanced_draws_the_order_of_a_class_anew_for_each_round_and_each_epoch():
    rounds = []
    for epoch in (1, 2):
        rows = epoch_indices(TARGETS, "balanced", 0, epoch)
        clips = rows[TARGETS[rows] == 2].tolist()  # 25 places for 10 clips
        rounds += [tuple(clips[:10]), tuple(clips[10:20])]
    assert len(set(rounds)) == 4
    assert all(sorted(clips) == list(range(85, 95)) for clips in rounds)


def test_balanced_with_several_labels_goes_round_the_classes_that_have_clips():
    rows = epoch_indices(MultiHot.of(SEVERAL), "balanced", 0, 1)
    assert np.count_nonzero(rows == 20) >= 25, "the one clip of its class comes with each round"
    assert SEVERAL[rows].any(axis=1).all(), "a clip without labels is in no class"


def test_weighted_meets_classes_equally_often_on_the_average():
    rows = np.concatenate([epoch_indices(TARGETS, "weighted", 0, epoch) for epoch in range(1, 101)])
    np.testing.assert_allclose(np.bincount(TARGETS[rows]) / len(rows), 0.25, atol=0.02)


def test_weighted_adds_up_the_labels_of_a_clip():
    rows = np.concatenate([epoch_indices(MultiHot.of(SEVERAL), "weighted", 0, epoch) for epoch in range(1, 101)])
    weights = np.where(SEVERAL[:, 0], 1 / 90, 0) + SEVERAL[:, 1] / 10 + SEVERAL[:, 2] / 4 + SEVERAL[:, 4]
    expected = weights / weights.sum()
    np.testing.assert_allclose(np.bincount(rows, minlength=100) / len(rows), expected, atol=0.01)


def test_occurrences_count_what_has_come_before():
    assert occurrences(np.array([5, 2, 5, 5, 2, 0])).tolist() == [0, 0, 1, 2, 1, 0]
    assert occurrences(np.array([], np.int64)).tolist() == []
