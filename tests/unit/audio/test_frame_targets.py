"""Targets by frame: crops cut events, shifts move them, mixup mixes them; nobody guesses what is not labelled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pannsdist.audio.augmentation import Augmentation
from pannsdist.audio.batch_reading import BatchRandomness, BatchRequest, read_batch
from pannsdist.audio.batches import EvaluationPlan, Shard, TrainingPlan, clip_table
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.frame_targets import FrameGrid, events_within
from pannsdist.audio.mixup import Mixup
from pannsdist.builtin.augmentations.speed import Speed, SpeedParams
from pannsdist.builtin.augmentations.time_roll import TimeRoll, TimeRollParams
from pannsdist.contracts import Clip, Event, Samples, labels_of_events
from pannsdist.contracts.clip_lists import ClipList
from pannsdist.runtime.errors import BadClip

RATE_HZ, FRAME = 1000, 100
LABELS = ("cat", "dog")
GRID = FrameGrid.of(FRAME, RATE_HZ, LABELS)


def clip(name: str, events: tuple[Event, ...] | None, seconds: float = 1.0, labels: tuple[str, ...] = ()) -> Clip:
    """A clip that is loud exactly where its events are."""
    sound = np.full(round(seconds * RATE_HZ), 0.001, np.float32)
    for event in events or ():
        sound[round(event.onset_s * RATE_HZ) : round(event.offset_s * RATE_HZ)] = 0.5
    labels = labels or labels_of_events(events or ())
    return Clip(name, Samples(sound, RATE_HZ), labels, duration_s=seconds, events=events)


def request(clips, crop_s=1.0, randomness=None) -> BatchRequest:
    table = clip_table(ClipList.of(clips), LABELS, True)
    reader = ClipReader(RATE_HZ, round(crop_s * RATE_HZ))
    return BatchRequest(table.clips, table.targets, reader, False, randomness, GRID.of_clips(clips))


def test_a_target_is_the_part_of_a_frame_that_events_cover():
    events = (Event(0.05, 0.25, "dog"), Event(0.2, 0.3, "dog"), Event(0.95, 1.0, "cat"))
    targets = GRID.targets(clip("a", events), np.zeros(2), events, RATE_HZ)
    assert targets.shape == (11, 2)
    np.testing.assert_allclose(targets[:-1, 1], [0.5, 1, 1, 0, 0, 0, 0, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(targets[:-1, 0], [0] * 9 + [0.5], atol=1e-6)
    assert targets[-1].tolist() == [1, 1]


def test_what_nobody_labelled_is_not_a_number():
    weak, unknown = clip("weak", None, labels=("cat",)), replace(clip("unknown", None), is_labelled=False)
    batch = read_batch(request([weak, unknown, clip("silent", ())]))
    assert np.isnan(batch.targets[0, :-1]).all() and batch.targets[0, -1].tolist() == [1, 0]
    assert np.isnan(batch.targets[1]).all()
    assert (batch.targets[2] == 0).all()


def test_a_short_clip_has_silent_frames_and_says_how_long_it_sounds():
    batch = read_batch(request([clip("short", (Event(0.0, 0.5, "dog"),), 0.5)]))
    assert batch.sound_s.tolist() == [0.5]
    assert batch.targets[0, :-1, 1].tolist() == [1] * 5 + [0] * 5


@pytest.mark.parametrize("augmented", ["nothing", "time_roll", "speed"])
def test_events_stay_where_the_sound_is(augmented):
    plugins = {
        "nothing": (),
        "time_roll": (Augmentation("time_roll", 1.0, TimeRoll(TimeRollParams())),),
        "speed": (Augmentation("speed", 1.0, Speed(SpeedParams(0.5, 2.0))),),
    }
    events = (Event(0.3, 0.9, "dog"), Event(2.0, 2.2, "cat"), Event(3.1, 3.7, "dog"))
    clips = [clip(f"clip {number}", events, 4.0) for number in range(20)]
    randomness = BatchRandomness(7, 1, np.zeros(20, np.int64), plugins[augmented])
    batch = read_batch(request(clips, 2.0, randomness))
    loud = (np.abs(batch.waveforms) > 0.25).reshape(20, -1, FRAME).mean(axis=2)
    np.testing.assert_allclose(batch.targets[:, :-1].sum(axis=2), loud, atol=0.02 if augmented != "speed" else 0.2)
    np.testing.assert_array_equal(batch.targets[:, -1] > 0, (batch.targets[:, :-1] > 0).any(axis=1))
    assert len(np.unique(batch.targets[:, :-1].sum(axis=(1, 2)))) > 10  # the crops differ


@pytest.mark.parametrize("events", [(Event(1.2, 1.3, "dog"),), (Event(0.0, 0.5, "cat"), Event(0.5, 1e300, "dog"))])
def test_a_clip_with_an_event_that_is_mostly_after_its_end_is_a_bad_one(events):
    clips = [replace(clip("bad", events), duration_s=None), clip("good", (Event(0.5, 1.05, "dog"),))]
    clips = [replace(one, source=Samples(one.source.array[:RATE_HZ], RATE_HZ), duration_s=None) for one in clips]
    with pytest.raises(BadClip) as caught:
        read_batch(request(clips))
    place = f"clip 'bad' (Samples): its event 'dog' from {events[-1].onset_s:g} to {events[-1].offset_s:.15g} s"
    assert str(caught.value).startswith(f"{place} is mostly after its end, at 1.000 s")
    assert "data.on_bad_clip=skip" in caught.value.right and "pannsdist data check" in caught.value.right
    batch = read_batch(replace(request(clips), skip_bad=True))
    assert batch.ids == ("good",) and len(batch.bad) == 1
    assert batch.targets[0, :-1, 1].tolist() == [0] * 5 + [1] * 5


def test_events_are_cut_at_the_ends_of_a_crop():
    events = (Event(0.0, 1.0, "a"), Event(1.5, 2.5, "b"), Event(3.0, 4.0, "c"))
    assert events_within(events, 0.5, 2.0) == (Event(0.0, 0.5, "a"), Event(1.0, 1.5, "b"))


@pytest.mark.parametrize("domain", ["features", "waveform"])
def test_mixup_mixes_events_and_knows_nothing_where_one_of_both_is_unknown(domain):
    clips = [
        clip("one", (Event(0.0, 0.5, "dog"),)),
        clip("two", (Event(0.5, 1.0, "cat"),)),
        clip("weak", None, labels=("cat",)),
        clip("three", (Event(0.0, 1.0, "dog"),)),
    ]
    mixup = Mixup(1.0, "panns", domain, 2)
    randomness = BatchRandomness(3, 1, np.zeros(4, np.int64), (), mixup, np.array([1, 3]))
    made = request([clips[0], clips[2], clips[1], clips[3]], 1.0, replace(randomness, partners=np.array([2, 3])))
    batch = read_batch(made)
    weight = mixup.mix_weight(3, 1, "one", 0)
    np.testing.assert_allclose(batch.targets[0, :5, 1], weight, rtol=1e-6)
    np.testing.assert_allclose(batch.targets[0, 5:10, 0], 1 - weight, rtol=1e-5)
    assert np.isnan(batch.targets[1, :-1]).all() and not np.isnan(batch.targets[1, -1]).any()


def test_targets_do_not_depend_on_the_processes_that_share_a_batch():
    clips = ClipList.of([clip(f"{number}", (Event(0.2, 1.3, "dog"),), 3.0) for number in range(12)])
    plan = TrainingPlan(clip_table(clips, LABELS, True), 4, 5, ClipReader(RATE_HZ, RATE_HZ), grid=GRID)
    alone = [read_batch(one) for one in plan.requests(2, Shard(0, 1))]
    shared = [[read_batch(one) for one in plan.requests(2, Shard(rank, 2))] for rank in range(2)]
    for whole, first, second in zip(alone, *shared, strict=True):
        np.testing.assert_array_equal(whole.targets, np.concatenate([first.targets, second.targets]))


def test_an_evaluation_gets_the_events_of_every_clip():
    clips = [clip("strong", (Event(0.2, 0.3, "dog"),)), clip("weak", None, labels=("cat",))]
    plan = EvaluationPlan(clip_table(ClipList.of(clips), LABELS, True), 2, ClipReader(RATE_HZ, RATE_HZ), grid=GRID)
    assert plan.events == [clips[0].events, None]
    assert plan.frame_s == 0.1
    (batch,) = map(read_batch, plan.requests(Shard(0, 1)))
    assert batch.targets.shape == (2, 11, 2)
