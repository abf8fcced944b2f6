"""Training batches with augmentation, mixup and sampling: what is in them, on any number of processes."""

import numpy as np
import pytest
from small_parts import tone_clips

from pannsdist.audio.augmentation import Augmentation
from pannsdist.audio.batch_reading import read_batch
from pannsdist.audio.batches import ClipTable, Shard, TrainingPlan, clip_table
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.loader import Loader
from pannsdist.audio.mixup import Mixup
from pannsdist.builtin.augmentations.gain import Gain, GainParams
from pannsdist.builtin.augmentations.noise import Noise, NoiseParams
from pannsdist.contracts import Clip, Samples
from pannsdist.runtime import seeding
from pannsdist.runtime.errors import BadClip, BrokenPlugin

READER = ClipReader(8000, 800)
LABELS = ("high", "low")
GAIN = Augmentation("gain", 1.0, Gain(GainParams()))
NOISE = Augmentation("noise", 0.5, Noise(NoiseParams()))


def mixup(pairs="panns", domain="features", alpha=1.0):
    return Mixup(alpha, pairs, domain, 2)


def training(table=None, batch_size=8, **how):
    table = table or clip_table(tone_clips(34), LABELS, multi_label=False)
    return TrainingPlan(table, batch_size, 0, READER, **how)


def batches(plan, epoch=1, processes=1):
    """The batches of each step, by rank."""
    mix_weights = [
        [read_batch(request) for request in plan.requests(epoch, Shard(rank, processes))] for rank in range(processes)
    ]
    return list(zip(*mix_weights, strict=True))


def everything(batch):
    """Each clip that comes out of a batch, with its partner; None where it is not mixed on the device."""
    ids = batch.ids + batch.further_ids
    partners = [None] * len(batch.ids) if batch.partners is None else batch.partners.tolist()
    for row, partner in enumerate(partners):
        own = [
            batch.ids[row],
            batch.waveforms[row].tolist(),
            batch.augment_noise[row].tolist(),
            batch.targets[row].tolist(),
        ]
        if partner is not None:
            other = [
                batch.waveforms[partner].tolist(),
                batch.augment_noise[partner].tolist(),
                float(batch.mix_weights[row]),
            ]
            own += [ids[partner], *other]
        yield own


def plain(clip, epoch=1, occurrence=0):
    """A clip as a training step without augmentation meets it."""
    return READER.read(clip, seeding.clip_generator(0, epoch, clip.id, "crop", occurrence))


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("sampling", ["shuffled", "balanced", "weighted"])
@pytest.mark.parametrize(
    "mixed",
    [None, mixup("panns"), mixup("free"), mixup("panns", "waveform"), mixup("free", "waveform")],
    ids=str,
)
def test_any_number_of_processes_makes_the_same_of_each_clip(processes, sampling, mixed):
    plan = training(sampling=sampling, augmentations=(GAIN, NOISE), mixup=mixed)
    alone, together = batches(plan), batches(plan, processes=processes)
    assert len(alone) == len(together) == (2 if mixed and mixed.pairs == "panns" else 4)
    for (one,), parts in zip(alone, together, strict=True):
        assert [row for part in parts for row in everything(part)] == list(everything(one))


def test_workers_change_nothing():
    plan = training(augmentations=(GAIN, NOISE), mixup=mixup("free"))
    loader = Loader(2)
    try:
        read = list(loader.read(plan.requests(1, Shard(0, 1))))
    finally:
        loader.close()
    assert [list(everything(batch)) for batch in read] == [list(everything(batch)) for (batch,) in batches(plan)]


def test_an_augmentation_leaves_the_crop_and_the_other_augmentations_as_they_were():
    longer = tone_clips(8, duration_s=1.0)
    table = clip_table(longer, LABELS, multi_label=False)
    ((with_both,),) = batches(training(table, augmentations=(NOISE, GAIN)))
    ((with_one,),) = batches(training(table, augmentations=(NOISE,)))
    ((bare,),) = batches(training(table))
    by_id = {clip.id: clip for clip in longer}
    np.testing.assert_array_equal(bare.waveforms, [plain(by_id[name]) for name in bare.ids])
    factors = np.linalg.norm(with_both.waveforms, axis=1) / np.linalg.norm(with_one.waveforms, axis=1)
    np.testing.assert_allclose(with_both.waveforms, with_one.waveforms * factors[:, None], atol=1e-6)
    assert len(set(np.round(factors, 4))) == 8


def test_the_probability_is_the_share_of_the_clips_that_are_changed():
    table = clip_table(tone_clips(400), LABELS, multi_label=False)
    ((bare,),), ((noisy,),) = (batches(training(table, 400, augmentations=a)) for a in ((), (NOISE,)))
    changed = (bare.waveforms != noisy.waveforms).any(axis=1).mean()
    assert changed == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize(
    "broken",
    [lambda w, *_: w[:-1], lambda w, *_: w.astype(np.float64), lambda w, *_: w + np.float32(np.nan)],
    ids=["shorter", "another type", "not finite"],
)
def test_an_augmentation_that_gives_something_else_is_named(broken):
    plan = training(augmentations=(Augmentation("strange", 1.0, broken),))
    with pytest.raises(BrokenPlugin, match="augmentation 'strange' returned"):
        batches(plan)


def test_a_clip_that_comes_again_in_an_epoch_sounds_different():
    clips = [*tone_clips(1, duration_s=2.0), *(Clip(f"x{n}", c.source, ("low",)) for n, c in enumerate(tone_clips(7)))]
    plan = training(clip_table(clips, LABELS, multi_label=False), sampling="balanced", augmentations=(GAIN,))
    ((batch,),) = batches(plan)
    again = [row for row, name in enumerate(batch.ids) if name == "clip000"]
    assert len(again) == 4
    assert len({batch.waveforms[row].tobytes() for row in again}) == 4
    assert len({batch.augment_noise[row].tobytes() for row in again}) == 4


def test_pairs_of_panns_are_neighbours_in_the_order_of_the_epoch():
    order = [tone_clips(34)[row].id for row in seeding.epoch_order(34, 0, 1)]
    found = []
    for (batch,) in batches(training(mixup=mixup())):
        assert batch.waveforms.shape == (16, 800)
        ids = batch.ids + batch.further_ids
        found += [(ids[row], ids[partner]) for row, partner in enumerate(batch.partners)]
    assert found == [(order[2 * i], order[2 * i + 1]) for i in range(16)]


def test_free_partners_are_each_clip_once_and_never_the_clip_itself():
    for processes in (1, 2, 4):
        for parts in batches(training(mixup=mixup("free")), processes=processes):
            pairs = [
                (part.ids[row], (part.ids + part.further_ids)[partner])
                for part in parts
                for row, partner in enumerate(part.partners)
            ]
            assert all(one != other for one, other in pairs)
            assert sorted(one for one, _ in pairs) == sorted(other for _, other in pairs)


def test_one_process_reads_no_clip_twice_for_free_pairs():
    for (batch,) in batches(training(mixup=mixup("free"))):
        assert batch.waveforms.shape == (8, 800)
        assert batch.further_ids == ()


def test_shares_follow_beta():
    mix_weights = np.concatenate(
        [
            batch.mix_weights
            for epoch in range(1, 120)
            for (batch,) in batches(training(batch_size=16, mixup=mixup(alpha=0.3)), epoch)
        ]
    )
    assert len(mix_weights) > 1800
    assert mix_weights.mean() == pytest.approx(0.5, abs=0.03)
    assert mix_weights.var() == pytest.approx(1 / (4 * (2 * 0.3 + 1)), rel=0.05)


def test_targets_are_mixed_by_the_same_shares_as_clips():
    truth = {clip.id: np.eye(2)[LABELS.index(clip.labels[0])] for clip in tone_clips(34)}
    for (batch,) in batches(training(mixup=mixup("free"))):
        for row, (partner, mix_weight) in enumerate(zip(batch.partners, batch.mix_weights, strict=True)):
            expected = mix_weight * truth[batch.ids[row]] + (1 - mix_weight) * truth[batch.ids[partner]]
            np.testing.assert_allclose(batch.targets[row], expected, atol=1e-6)
        np.testing.assert_allclose(batch.targets.sum(axis=1), 1, atol=1e-6)


def test_several_labels_are_mixed_too():
    clips = [Clip(f"c{n}", tone_clips(1)[0].source, ("high", "low")[: n % 3]) for n in range(12)]
    table = clip_table(clips, LABELS, multi_label=True)
    truth = {clip.id: target for clip, target in zip(clips, table.targets[:], strict=True)}
    ((batch,),) = batches(training(table, 6, mixup=mixup()))
    ids = batch.ids + batch.further_ids
    for row, (partner, mix_weight) in enumerate(zip(batch.partners, batch.mix_weights, strict=True)):
        expected = mix_weight * truth[ids[row]] + (1 - mix_weight) * truth[ids[partner]]
        np.testing.assert_allclose(batch.targets[row], expected, atol=1e-6)


def test_waveforms_are_mixed_linearly():
    on_device = batches(training(augmentations=(GAIN,), mixup=mixup("free")))
    in_worker = batches(training(augmentations=(GAIN,), mixup=mixup("free", "waveform")))
    for (one,), (other,) in zip(on_device, in_worker, strict=True):
        mix_weight = one.mix_weights[:, None]
        expected = one.waveforms[:8] * mix_weight + one.waveforms[one.partners] * (1 - mix_weight)
        np.testing.assert_allclose(other.waveforms, expected, atol=1e-6)
        np.testing.assert_array_equal(other.targets, one.targets)
        assert other.model_kwargs.keys() == {"augment_noise"}


def with_bad(count, *bad):
    clips = tone_clips(count)
    for number in bad:
        clips[number] = Clip(clips[number].id, Samples(np.zeros(0, np.float32), 8000), ("high",))
    return ClipTable(clips, np.arange(count) % 2)


def pairs_with_bad(count, bad_places, **how):
    """The only batch of an epoch at whose places some clips are bad, and the ids in the epoch's order."""
    order = seeding.epoch_order(count, 0, 1)
    plan = training(with_bad(count, *(order[place] for place in bad_places)), skip_bad=True, **how)
    return batches(plan), [tone_clips(count)[row].id for row in order]


def test_a_bad_clip_stops_the_run_whether_it_is_a_partner_or_not():
    order = seeding.epoch_order(8, 0, 1)
    for place in (0, 1):
        with pytest.raises(BadClip):
            batches(training(with_bad(8, order[place]), 4, mixup=mixup()))


@pytest.mark.parametrize("domain", ["features", "waveform"])
def test_the_good_clip_of_a_pair_stands_alone_and_a_pair_of_bad_ones_is_skipped(domain):
    ((batch,),), order = pairs_with_bad(8, (0, 3, 4, 5), batch_size=4, mixup=mixup("panns", domain))
    assert batch.ids == (order[1], order[2], order[6])
    clips = {clip.id: clip for clip in tone_clips(8)}
    np.testing.assert_array_equal(batch.waveforms[:2], [plain(clips[name]) for name in batch.ids[:2]])
    assert batch.targets[0].tolist() in ([0, 1], [1, 0])
    assert {error.wrong.split("'")[1] for error in batch.bad} == {order[place] for place in (0, 3, 4, 5)}
    if domain == "features":
        assert batch.mix_weights[:2].tolist() == [1, 1]
        assert batch.partners.tolist() == [0, 1, 3]
        assert batch.further_ids == (order[7],)


def test_a_bad_free_clip_is_left_out_named_once_and_its_neighbour_stands_alone():
    plan = training(with_bad(8, 3), skip_bad=True, mixup=mixup("free"))
    for processes in (1, 2, 4):
        (parts,) = batches(plan, processes=processes)
        assert sum(len(part.ids) for part in parts) == 7
        assert sum(len(part.bad) for part in parts) == 1
        assert sum(int((part.mix_weights == 1).sum()) for part in parts) == 1


def test_a_batch_of_bad_clips_alone_is_empty_and_keeps_its_shapes():
    ((batch,),), _ = pairs_with_bad(4, range(4), batch_size=2, mixup=mixup())
    assert batch.waveforms.shape == (0, 800)
    assert batch.targets.shape == (0, 2)
    assert len(batch.bad) == 4
    assert all(len(array) == 0 for array in batch.model_kwargs.values())


def test_a_bad_clip_changes_nothing_of_the_others():
    free = {"batch_size": 8, "mixup": mixup("free"), "augmentations": (GAIN,)}
    ((whole,),), _ = pairs_with_bad(8, (), **free)
    ((rest,),), order = pairs_with_bad(8, (3,), **free)
    before = {row[0]: row for row in everything(whole)}
    same = [row == before[row[0]] for row in everything(rest)]
    assert order[3] not in rest.ids
    assert same.count(False) == 1, "but for the one that was its partner"


def test_free_pairs_of_each_epoch_and_step_are_drawn_anew():
    plan = training(mixup=mixup("free"))
    drawn = [batch.partners.tolist() for epoch in (1, 2) for (batch,) in batches(plan, epoch)]
    assert len({tuple(one) for one in drawn}) == len(drawn)
