"""Generated sounds: the same each time, other ones in each split, and easy to tell apart."""

import pickle

import numpy as np
import pytest

from pannsdist.builtin.tones import FAMILIES, GeneratedSound, Tones, TonesParams
from pannsdist.contracts import SampleSource, UserError


def tones(**params):
    return Tones(TonesParams(**params))


def log_spectrum(clip):
    waveform, _ = clip.source.samples()
    frames = np.lib.stride_tricks.sliding_window_view(waveform, 512)[::256] * np.hanning(512)
    spectrum = np.log(np.abs(np.fft.rfft(frames)).mean(axis=0) + 1e-6)
    return spectrum - spectrum.mean()


def test_there_is_a_label_for_each_family_and_the_clips_asked_for():
    dataset = tones(clips_per_class=3, valid_clips_per_class=2, classes=4)
    assert dataset.labels == ("tone", "sweep", "noise", "clicks")
    assert dataset.splits == ("train", "valid")
    assert dataset.multi_label is False
    assert [len(dataset.clips(split)) for split in dataset.splits] == [12, 8]
    clip = dataset.clips("valid")[1]
    assert (clip.id, clip.labels) == ("valid/tone/0001", ("tone",))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("duration_s", "sample_rate_hz"), [(0.1, 8000), (1.0, 32000), (0.25, 192_000)])
def test_a_sound_has_its_length_and_rate_and_stays_in_range(family, duration_s, sample_rate_hz):
    for seed in range(5):
        samples, rate_hz = GeneratedSound(family, seed, duration_s, sample_rate_hz).samples()
        assert rate_hz == sample_rate_hz
        assert samples.dtype == np.float32
        assert samples.shape == (round(duration_s * sample_rate_hz),)
        assert 0.1 < np.abs(samples).max() <= 1.0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sound_pickles_and_is_the_same_each_time(family):
    sound = GeneratedSound(family, 7, 0.2, 16000)
    assert isinstance(sound, SampleSource)
    copy = pickle.loads(pickle.dumps(sound))
    assert copy == sound
    first = sound.samples()[0]
    np.testing.assert_array_equal(first, sound.samples()[0])
    np.testing.assert_array_equal(first, copy.samples()[0])


def test_no_sound_is_in_both_splits_or_twice_in_one():
    dataset = tones()
    seeds = [clip.source.seed for split in dataset.splits for clip in dataset.clips(split)]
    assert len(set(seeds)) == len(seeds)


def test_the_clips_depend_on_the_seed_and_not_on_how_many_there_are():
    few, many = tones(clips_per_class=2, classes=2), tones(clips_per_class=9, valid_clips_per_class=5)
    assert set(few.clips("train")) < set(many.clips("train"))
    assert tones().clips("train") == tones().clips("train")
    other = {clip.source.seed for clip in tones(seed=1).clips("train")}
    assert not other & {clip.source.seed for clip in tones().clips("train")}


def test_the_families_can_be_told_apart_by_their_spectrum():
    dataset = tones()
    train = dataset.clips("train")
    spectra = np.array([log_spectrum(clip) for clip in train])
    own = np.array([clip.labels[0] for clip in train])
    centres = np.array([spectra[own == label].mean(axis=0) for label in dataset.labels])
    hits = [
        dataset.labels[((centres - log_spectrum(clip)) ** 2).sum(axis=1).argmin()] == clip.labels[0]
        for clip in dataset.clips("valid")
    ]
    assert np.mean(hits) > 0.9


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("clips_per_class", 0, "allowed: 1 to 1000000"),
        ("valid_clips_per_class", 0, "allowed: 1 to 1000000"),
        ("duration_s", float("nan"), "allowed: 0.1 to 600.0"),
        ("sample_rate_hz", 4000, "allowed: 8000 to 192000"),
        ("classes", 7, "allowed: 2 to 6"),
    ],
)
def test_a_value_out_of_its_range_is_refused_with_the_range(key, value, allowed):
    with pytest.raises(UserError, match=f"data.params.{key} is {value}") as caught:
        tones(**{key: value})
    assert allowed in str(caught.value)


def test_an_unknown_split_is_refused():
    with pytest.raises(UserError, match="no split 'test'"):
        tones().clips("test")


def test_a_fold_holds_every_third_sound_of_train_out():
    whole = {clip.id: clip for clip in tones(clips_per_class=7, classes=2).clips("train")}
    dataset = tones(clips_per_class=7, classes=2, valid_fold=2)
    valid = dataset.clips("valid")
    assert [clip.id for clip in valid if clip.labels == ("tone",)] == ["train/tone/0001", "train/tone/0004"]
    assert all(whole[clip.id] == clip for clip in (*valid, *dataset.clips("train")))


@pytest.mark.parametrize(
    ("params", "said"),
    [({"valid_fold": 4}, "valid_fold is 4"), ({"valid_fold": 1, "clips_per_class": 2}, "clips_per_class is 2")],
)
def test_a_fold_that_cannot_be_held_out_is_refused(params, said):
    with pytest.raises(UserError, match=said):
        tones(**params)
