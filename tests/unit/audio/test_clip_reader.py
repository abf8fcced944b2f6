"""One clip becomes one waveform of a fixed length, or is refused by name."""

import os

import numpy as np
import pytest
import soundfile

from pannsdist.audio.clip_reader import ClipReader
from pannsdist.contracts import Clip, Samples
from pannsdist.runtime.errors import BadClip
from pannsdist.runtime.seeding import clip_generator

RATE_HZ = 8000


def noise(samples=4000, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def clip(source, **cut):
    return Clip("the_id", source, ("a",), **cut)


def refusal(source, reader=None, **cut):
    with pytest.raises(BadClip) as caught:
        (reader or ClipReader(RATE_HZ, 1000)).read(clip(source, **cut), None)
    return str(caught.value)


@pytest.fixture
def write(tmp_path):
    def put(samples, subtype="FLOAT"):
        soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype=subtype)
        return tmp_path / "a.wav"

    return put


def test_a_shorter_clip_is_padded_with_silence(write):
    waveform = ClipReader(RATE_HZ, 6000).read(clip(write(noise())), clip_generator(0, 1, "a"))
    np.testing.assert_array_equal(waveform, np.concatenate([noise(), np.zeros(2000, np.float32)]))


def test_a_longer_clip_is_read_from_its_start_without_a_generator(write):
    np.testing.assert_array_equal(ClipReader(RATE_HZ, 1000).read(clip(write(noise())), None), noise()[:1000])


def test_a_clip_of_just_the_length_is_read_whole(write):
    generator = clip_generator(0, 1, "a")
    np.testing.assert_array_equal(ClipReader(RATE_HZ, 4000).read(clip(write(noise())), generator), noise())


def crop_start(seed, epoch, name, reader=None):
    ramp = np.arange(20000, dtype=np.float32) / 32768
    reader = reader or ClipReader(RATE_HZ, 1000)
    waveform = reader.read(clip(Samples(ramp, RATE_HZ)), clip_generator(seed, epoch, name))
    assert len(waveform) == 1000
    return round(float(waveform[0]) * 32768)


def test_a_crop_is_decided_by_seed_epoch_and_id():
    starts = {crop_start(seed, epoch, name) for seed in (0, 1) for epoch in (1, 2) for name in ("a", "b")}
    assert len(starts) == 8
    assert crop_start(1, 2, "b") == crop_start(1, 2, "b")


def test_crops_reach_from_the_first_to_the_last_sample():
    ramp = np.arange(12, dtype=np.float32)
    reader = ClipReader(RATE_HZ, 10)
    starts = {reader.read(clip(Samples(ramp, RATE_HZ)), clip_generator(0, n, "a"))[0] for n in range(40)}
    assert starts == {0.0, 1.0, 2.0}


def test_a_crop_of_a_file_is_that_of_the_same_sound_in_memory(write):
    path = write(noise())
    for epoch in (1, 2, 3):
        both = [
            ClipReader(RATE_HZ, 1000).read(clip(source), clip_generator(0, epoch, "a"))
            for source in (path, Samples(noise(), RATE_HZ))
        ]
        np.testing.assert_array_equal(*both)


@pytest.mark.parametrize("source_hz", [8000, 11025, 44100])
@pytest.mark.parametrize("duration_s", [0.05, 0.5, 2.0])
def test_the_length_is_the_same_for_every_source(source_hz, duration_s):
    sound = Samples(noise(round(duration_s * source_hz)), source_hz)
    waveform = ClipReader(RATE_HZ, 4000).read(clip(sound), clip_generator(0, 1, "a"))
    assert (waveform.shape, waveform.dtype) == ((4000,), np.float32)
    filled = np.flatnonzero(waveform)[-1] + 1
    assert filled == pytest.approx(min(4000, duration_s * RATE_HZ), abs=1)


def test_channels_in_memory_become_their_mean():
    both = np.stack([noise(), -noise()], axis=1)
    assert not ClipReader(RATE_HZ, 4000).read(clip(Samples(both, RATE_HZ)), None).any()


def test_a_piece_of_a_sound_in_memory_is_cut_out():
    waveform = ClipReader(RATE_HZ, 1600).read(clip(Samples(noise(), RATE_HZ), start_s=0.1, duration_s=0.2), None)
    np.testing.assert_array_equal(waveform, noise()[800:2400])


def test_a_missing_file_is_refused_by_id_and_path(tmp_path):
    assert refusal(tmp_path / "a.wav") == (
        f"clip 'the_id' ({tmp_path}/a.wav): there is no such file\n"
        "  repair or remove it, or set data.on_bad_clip=skip to skip it"
    )


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a.wav").touch()
    assert refusal(tmp_path / "a.wav").startswith(f"clip 'the_id' ({tmp_path}/a.wav): the file is empty\n")


def test_a_text_file_is_refused(tmp_path):
    (tmp_path / "a.wav").write_text("no sound at all, " * 99, encoding="utf-8")
    assert "): libsndfile cannot decode it (" in refusal(tmp_path / "a.wav")


def test_a_folder_is_refused(tmp_path):
    assert "): it is a folder\n" in refusal(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_refused(write):
    path = write(noise())
    path.chmod(0)
    assert str(path) in refusal(path)


def test_a_flac_that_was_cut_off_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.flac", noise(40000), RATE_HZ)
    data = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(data[: len(data) // 2])
    for crop in (40000, 100):
        said = refusal(tmp_path / "a.flac", ClipReader(RATE_HZ, crop))
        assert "of 5.00 s could be read (the file ends before its sound does)" in said


def test_a_file_without_samples_is_refused(write):
    assert "): it contains no samples\n" in refusal(write(noise(0)))
    assert "(Samples): it contains no samples\n" in refusal(Samples(noise(0), RATE_HZ))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(write, bad):
    samples = noise()
    samples[500] = bad
    assert "): it contains NaN or infinite samples\n" in refusal(write(samples))


def test_a_clip_that_is_too_short_is_refused_with_its_length_and_the_way_out(write):
    said = refusal(write(noise(800)), ClipReader(RATE_HZ, 1000, min_clip_s=0.25))
    assert "): it lasts 0.100 s, less than the minimum of 0.250 s\n" in said
    assert said.endswith("data.min_clip_s=0 pads it with silence instead")


def test_a_clip_of_just_the_minimum_length_is_read(write):
    assert len(ClipReader(RATE_HZ, 1000, min_clip_s=0.1).read(clip(write(noise(800))), None)) == 1000


@pytest.mark.parametrize(
    ("cut", "span"), [({"start_s": 0.5}, "0.5 s"), ({"start_s": 9.0, "duration_s": 1.0}, "9.0 s for 1.0 s")]
)
def test_a_piece_beyond_the_end_is_refused(write, cut, span):
    assert f"): the span from {span} lies outside its 0.500 s\n" in refusal(write(noise()), **cut)


def test_of_a_file_at_another_rate_at_least_as_much_is_read_as_the_crop_needs(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(44_100), 44_100, subtype="FLOAT")
    reader = ClipReader(RATE_HZ, 4001)  # 22 055.5 samples of the file
    waveform = reader.read(clip(tmp_path / "a.wav"), None)
    whole = ClipReader(RATE_HZ, RATE_HZ).read(clip(tmp_path / "a.wav"), None)
    assert abs(waveform[4000] - whole[4000]) < 0.05 < np.abs(whole[3900:4001]).max()
    assert waveform[4000] != 0.0
