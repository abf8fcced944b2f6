"""Which process reads which clips: the same batches on any number of them."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from small_parts import tone_clips

from pannsdist.audio import waveform_cache
from pannsdist.audio.augmentation import Augmentation, augment
from pannsdist.audio.batch_reading import read_batch
from pannsdist.audio.batches import ClipTable, EvaluationPlan, OverfitPlan, Shard, TrainingPlan, clip_table
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.waveform_cache import WaveformCache
from pannsdist.contracts import Clip, Samples
from pannsdist.runtime.errors import BadClip

READER = ClipReader(8000, 800)
LABELS = ("high", "low")


def table(count):
    return clip_table(tone_clips(count), LABELS, multi_label=False)


def training(count=26, batch_size=8, seed=0):
    return TrainingPlan(table(count), batch_size, seed, READER)


def global_batches(plan, epoch, processes):
    """Ids, waveforms and targets of each step over all processes, in the order of their ranks."""
    by_rank = [
        [read_batch(request) for request in plan.requests(epoch, Shard(rank, processes))] for rank in range(processes)
    ]
    for parts in zip(*by_rank, strict=True):
        ids = tuple(name for part in parts for name in part.ids)
        yield ids, np.concatenate([part.waveforms for part in parts]), np.concatenate([part.targets for part in parts])


@pytest.mark.parametrize("processes", [2, 4, 8])
def test_any_number_of_processes_sees_the_same_batches_and_the_same_crops(processes):
    for epoch in (1, 2):
        alone = list(global_batches(training(), epoch, 1))
        together = list(global_batches(training(), epoch, processes))
        assert len(alone) == len(together) == 3
        for one, other in zip(alone, together, strict=True):
            assert one[0] == other[0]
            np.testing.assert_array_equal(one[1], other[1])
            np.testing.assert_array_equal(one[2], other[2])


def test_an_evaluation_knows_the_groups_of_its_clips():
    clips = tone_clips(3)
    assert EvaluationPlan(ClipTable(clips, np.zeros(3, np.int64)), 2, READER).groups == []
    clips[1] = replace(clips[1], group="speaker")
    found = EvaluationPlan(ClipTable(clips, np.zeros(3, np.int64)), 2, READER).groups
    assert found == [clips[0].id, "speaker", clips[2].id]


def test_an_epoch_meets_no_clip_twice_and_leaves_out_what_fills_no_batch():
    ids = [name for batch in global_batches(training(), 1, 2) for name in batch[0]]
    assert len(ids) == len(set(ids)) == 24


def test_the_clips_that_are_left_out_are_others_in_each_epoch():
    everything = {clip.id for clip in tone_clips(26)}
    left = [
        frozenset(everything - {name for batch in global_batches(training(), epoch, 1) for name in batch[0]})
        for epoch in range(1, 6)
    ]
    assert len(set(left)) > 1


def test_the_order_depends_on_seed_and_epoch():
    orders = [
        tuple(request.clips[0].id for request in training(seed=seed).requests(epoch, Shard(0, 1)))
        for seed in (0, 1)
        for epoch in (1, 2)
    ]
    assert len(set(orders)) == 4


def test_an_epoch_can_be_entered_at_a_step():
    whole = [request.clips for request in training().requests(1, Shard(1, 2))]
    rest = [request.clips for request in training().requests(1, Shard(1, 2), first_step=2)]
    assert rest == whole[2:]


def test_an_epoch_of_the_same_batches_can_be_entered_at_a_step():
    plan = OverfitPlan(table(24), 8, READER)
    whole, rest = ([one.clips for one in plan.requests(1, Shard(1, 2), first)] for first in (0, 2))
    assert len(whole) == 3 and rest == whole[2:]


def test_the_targets_of_a_batch_are_those_of_its_clips():
    truth = {clip.id: LABELS.index(clip.labels[0]) for clip in tone_clips(26)}
    for ids, _, targets in global_batches(training(), 1, 2):
        assert [truth[name] for name in ids] == targets.tolist()


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 16, 17])
def test_an_evaluation_meets_each_clip_once_on_any_number_of_processes(processes, count):
    plan = EvaluationPlan(table(count), 4, READER)
    ids = [
        clip.id
        for rank in range(processes)
        for request in plan.requests(Shard(rank, processes))
        for clip in request.clips
    ]
    assert sorted(ids) == [clip.id for clip in tone_clips(count)]


@pytest.mark.parametrize("processes", [2, 3])
def test_a_clip_meets_the_same_neighbours_in_evaluation_on_any_number_of_processes(processes):
    plan = EvaluationPlan(table(17), 4, READER)
    alone = {tuple(request.clips) for request in plan.requests(Shard(0, 1))}
    together = {tuple(request.clips) for rank in range(processes) for request in plan.requests(Shard(rank, processes))}
    assert alone == together


def test_an_evaluation_hears_the_beginning_of_each_clip():
    (request,) = EvaluationPlan(table(2), 4, READER).requests(Shard(0, 1))
    first = tone_clips(2)[0].source.array[:800]
    np.testing.assert_array_equal(read_batch(request).waveforms[0], first)


def test_one_label_becomes_its_index():
    made = clip_table([Clip("a", None, ("low",)), Clip("b", None, ("high",))], LABELS, multi_label=False)
    assert (made.targets.tolist(), made.targets.dtype) == ([1, 0], np.int64)


def test_several_labels_become_zeros_and_ones():
    clips = [Clip("a", None, ("c", "a")), Clip("b", None, ())]
    made = clip_table(clips, ("a", "b", "c"), multi_label=True)
    assert (made.targets[:].tolist(), made.targets[:].dtype) == ([[1, 0, 1], [0, 0, 0]], np.float32)
    assert len(made) == 2


def with_bad(*bad, count=4):
    clips = tone_clips(count)
    for number in bad:
        clips[number] = Clip(f"bad{number}", Samples(np.zeros(0, np.float32), 8000), ("high",))
    return ClipTable(clips, np.arange(count))


def only_request(clips, skip_bad):
    (request,) = EvaluationPlan(clips, 8, READER, skip_bad).requests(Shard(0, 1))
    return request


def test_a_bad_clip_stops_unless_it_is_to_be_skipped():
    with pytest.raises(BadClip, match="clip 'bad1'"):
        read_batch(only_request(with_bad(1), skip_bad=False))


def test_skipped_clips_are_named_and_the_others_keep_their_targets():
    batch = read_batch(only_request(with_bad(1, 2), skip_bad=True))
    assert batch.ids == ("clip000", "clip003")
    assert batch.targets.tolist() == [0, 3]
    assert [error.wrong.split(" ")[1] for error in batch.bad] == ["'bad1'", "'bad2'"]


def test_a_batch_of_bad_clips_alone_is_empty_and_keeps_its_shape():
    batch = read_batch(only_request(with_bad(0, 1, count=2), skip_bad=True))
    assert batch.waveforms.shape == (0, 800)
    assert batch.targets.shape == (0,)
    assert len(batch.bad) == 2


class InPlace:
    """An augmentation that changes what it gets."""

    def __call__(self, waveform, *_):
        waveform *= 2
        return waveform


def test_an_augmentation_that_changes_what_it_gets_changes_neither_the_data_set_nor_a_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("pannsdist.cache.keys.SETTLED_NS", 0)
    samples = np.linspace(-0.4, 0.4, 8000, dtype=np.float32)

    def one(_):
        return np.random.default_rng(1)

    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    cached = ClipReader(8000, 8000, cache=WaveformCache(tmp_path / "cache", 1.0))
    for source, reader in ((Samples(samples, 8000), ClipReader(8000, 8000)), (tmp_path / "a.wav", cached)):
        for _ in range(3):
            waveform = reader.read(Clip("a", source, ()), None)
            np.testing.assert_array_equal(waveform, samples)
            loud, _ = augment(waveform, None, 8000, (Augmentation("in_place", 1.0, InPlace()),), one)
            np.testing.assert_array_equal(loud, 2 * samples)
    waveform_cache.close_stores()
