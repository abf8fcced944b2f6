"""Batches of clips of similar length: a function of seed, epoch and lengths, the same on any number of processes."""

import math

import numpy as np
import pytest
from small_parts import RATE_HZ, tone

from pannsdist.audio.augmentation import Augmentation
from pannsdist.audio.batch_reading import read_batch
from pannsdist.audio.batches import Shard, TrainingPlan, clip_table
from pannsdist.audio.clip_lengths import lengths_s
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.length_groups import CROP_STEPS, WINDOW_STEPS, LengthGroups, length_groups
from pannsdist.audio.mixup import Mixup
from pannsdist.builtin.augmentations.time_roll import TimeRoll
from pannsdist.contracts import Clip

CROP, MINIMUM, BATCH, CLIPS = 3200, 512, 24, 250
GENERATOR = np.random.default_rng(0)
SECONDS = GENERATOR.gamma(2.0, 0.05, CLIPS) + 0.01
TABLE = clip_table(
    [Clip(f"{n:03d}", tone(300.0 + 9 * n, s), ("ab"[n % 2],)) for n, s in enumerate(SECONDS)], ("a", "b"), False
)
GROUPS = length_groups(lengths_s(TABLE.clips), RATE_HZ, CROP, MINIMUM)
ROLL = (Augmentation("time_roll", 0.7, TimeRoll(TimeRoll.Params())),)


def plan(groups=GROUPS, seed=3, **how):
    return TrainingPlan(TABLE, BATCH, seed, ClipReader(RATE_HZ, CROP), groups=groups, **how)


def global_batches(training, epoch, processes):
    """Ids (with those of partners) by rank, and the waveforms of each rank, of each step."""
    by_rank = [
        [read_batch(request) for request in training.requests(epoch, Shard(rank, processes))]
        for rank in range(processes)
    ]
    return list(zip(*by_rank, strict=True))


def rows(parts):
    """What each row of a global batch is: its id, and its waveform."""
    return [(name, wave.tobytes()) for part in parts for name, wave in zip(part.ids, part.waveforms, strict=False)]


@pytest.mark.parametrize("processes", [2, 3, 4, 8])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"sampling": "balanced"},
        {"mixup": Mixup(0.5, "panns", "features", 2)},
        {"mixup": Mixup(0.5, "free", "waveform", 2), "sampling": "weighted"},
    ],
    ids=str,
)
def test_any_number_of_processes_reads_the_same_batches_of_the_same_length(processes, how):
    training = plan(augmentations=ROLL, **how)
    alone, together = global_batches(training, 2, 1), global_batches(training, 2, processes)
    assert len(alone) == len(together) == training.steps
    for one, parts in zip(alone, together, strict=True):
        assert {part.waveforms.shape[1] for part in parts} == {one[0].waveforms.shape[1]}
        assert rows(parts) == rows(one)


def test_a_batch_is_as_long_as_its_longest_clip_and_no_longer_than_the_crop():
    known = {clip.id: seconds * RATE_HZ for clip, seconds in zip(TABLE.clips, SECONDS, strict=True)}
    lengths = []
    for (batch,) in global_batches(plan(), 1, 1):
        longest = min(CROP, max(MINIMUM, *(known[name] for name in batch.ids)))
        assert longest <= batch.waveforms.shape[1] < longest + CROP / CROP_STEPS + 1
        lengths.append(batch.waveforms.shape[1])
    assert max(lengths) == CROP
    assert np.mean(lengths) < 0.6 * CROP, "nothing is saved"


def test_a_clip_that_is_longer_than_its_batch_was_to_be_is_cropped_and_no_error():
    """A header may be wrong: the shape of a batch depends on what rank 0 found alone."""
    wrong = LengthGroups(np.full(CLIPS, 800))
    assert {part.waveforms.shape for (part,) in global_batches(plan(wrong), 1, 1)} == {(BATCH, 800)}


@pytest.mark.parametrize(("clips", "step_clips"), [(250, 24), (24, 24), (1000, 4), (999, 8), (385, 24)])
def test_an_epoch_keeps_its_clips_and_those_that_it_leaves_out(clips, step_clips):
    indices = np.random.default_rng(1).permutation(clips)
    groups = LengthGroups(np.random.default_rng(2).integers(1, 9, clips))
    order = groups.order(indices, step_clips, 0, 1)
    full = clips // step_clips * step_clips
    assert sorted(order[:full]) == sorted(indices[:full])
    assert order[full:].tolist() == indices[full:].tolist()
    windows = -(-full // (WINDOW_STEPS * step_clips))
    ranges = [np.ptp(groups.samples[batch]) for batch in order[:full].reshape(-1, step_clips)]
    assert sum(ranges) <= 8 * windows, "within a window batches may only touch in length"


def test_the_order_is_a_function_of_seed_and_epoch_and_its_lengths_do_not_rise():
    def order(seed, epoch):
        return [request.clips for request in plan(seed=seed).requests(epoch, Shard(0, 1))]

    assert order(3, 1) == order(3, 1)
    assert len({str(order(seed, epoch)) for seed in (3, 4) for epoch in (1, 2)}) == 4
    lengths = [request.reader.crop_samples for request in plan().requests(1, Shard(0, 1))]
    assert lengths != sorted(lengths)


def test_an_epoch_can_be_entered_at_a_step():
    whole = [(request.clips, request.reader) for request in plan().requests(1, Shard(1, 2))]
    rest = [(request.clips, request.reader) for request in plan().requests(1, Shard(1, 2), first_step=4)]
    assert rest == whole[4:]


def test_lengths_are_rounded_up_and_kept_within_network_and_crop():
    step = CROP // CROP_STEPS
    seconds = np.array([0.001, 0.1, 1001 / RATE_HZ, 99.0, math.nan])
    found = length_groups(seconds, RATE_HZ, CROP, MINIMUM).samples
    assert found.tolist() == [MINIMUM, 8 * step, 11 * step, CROP, CROP]
    assert length_groups(seconds, RATE_HZ, 3333, 0).samples.max() == 3333


def test_without_groups_batches_are_as_they_were():
    without = TrainingPlan(TABLE, BATCH, 3, ClipReader(RATE_HZ, CROP))
    assert without.groups is None
    assert {request.reader.crop_samples for request in without.requests(1, Shard(0, 1))} == {CROP}
