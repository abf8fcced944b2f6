"""The sound of a file is the same to the last bit, whatever of it is read, in whatever order, by whom."""

import numpy as np
import pytest
import sound_kinds
import soundfile
import soxr

from pannsdist.audio import chunks, seeking
from pannsdist.audio.chunks import Chunks, resample
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.inspection import inspect
from pannsdist.audio.reader import SourceName
from pannsdist.audio.sounds import mono_blocks, open_sound
from pannsdist.contracts import Clip, Samples
from pannsdist.runtime.errors import BadClip

NAME = SourceName("a", "", "")
RATES_HZ = (
    *((44100, 32000), (48000, 32000), (22050, 32000), (8000, 32000), (44100, 16000), (16000, 32000), (11025, 32000)),
    *((37800, 32000), (96000, 16000), (5512, 32000), (1000, 48000), (48000, 44100), (22050.5, 32000), (768000, 1000)),
)
INTERPOLATED_HZ = (44101, 32001, 11127)
"""Of these and 32 kHz soxr approximates the ratio."""


def noise(samples, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, samples).astype(np.float32)


def everything(source, rate_hz):
    return np.concatenate(list(mono_blocks(source, rate_hz)))


@pytest.mark.parametrize(("own_hz", "rate_hz"), RATES_HZ)
def test_chunks_together_are_the_sound_resampled_at_once(own_hz, rate_hz):
    seconds = 16 if own_hz > 100_000 else 31
    for frames in (1, round(own_hz * 0.3) + 7, round(own_hz * seconds) + 333):
        sound = noise(frames)
        whole, found = soxr.resample(sound, own_hz, rate_hz, quality="HQ"), resample(sound, own_hz, rate_hz)
        assert (len(found), found.dtype) == (len(whole), np.float32)
        np.testing.assert_allclose(found, whole, rtol=0, atol=1e-6)
    assert Chunks(frames, own_hz, rate_hz).count == (1 if own_hz == 22050.5 else seconds // 10 + (seconds == 16))


@pytest.mark.parametrize("own_hz", INTERPOLATED_HZ)
def test_where_soxr_approximates_the_ratio_chunks_are_nearer_to_the_truth(own_hz):
    at = np.arange(own_hz * 36) / own_hz
    sound = (0.5 * np.sin(2 * np.pi * 997 * at)).astype(np.float32)
    true = 0.5 * np.sin(2 * np.pi * 997 * np.arange(32000 * 36) / 32000)
    inner = slice(1000, -1000)
    whole, found = soxr.resample(sound, own_hz, 32000, quality="HQ"), resample(sound, own_hz, 32000)
    errors = [float(np.abs(one - true)[inner].max()) for one in (found, whole)]
    assert errors[0] < 1e-5
    assert errors[0] <= errors[1]


def test_a_sound_of_one_chunk_is_resampled_as_a_whole():
    sound = noise(44100 * 14)
    np.testing.assert_array_equal(resample(sound, 44100, 32000), soxr.resample(sound, 44100, 32000, quality="HQ"))


@pytest.fixture
def short(monkeypatch):
    """Chunks of a second, and decoding that begins a quarter of a second before one."""
    monkeypatch.setattr(chunks, "CHUNK_S", 1)
    monkeypatch.setattr(seeking, "BEFORE_S", 0.25)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("rate_hz", [16000, 22050], ids=["as stored", "resampled"])
@pytest.mark.parametrize(("form", "subtype"), sound_kinds.WRITTEN)
def test_a_chunk_has_the_same_bits_in_every_order(tmp_path, form, subtype, rate_hz):
    path = sound_kinds.write(tmp_path, form, subtype, sound_kinds.tone(16000 * 4 + 777))
    inference = everything(path, rate_hz)
    with open_sound(path, NAME, rate_hz) as sound:
        count = sound.chunks.count
        assert count >= (1 if form == "XI" else 4)  # its rate is fixed
        assert len(inference) == sound.samples
        in_order = [sound.chunk(index) for index in range(count)]
        backwards = [sound.chunk(index) for index in reversed(range(count))][::-1]
    alone = []
    for index in range(count):
        with open_sound(path, NAME, rate_hz) as sound:
            alone.append(sound.chunk(index))
    for made in (in_order, backwards, alone):
        np.testing.assert_array_equal(np.concatenate(made), inference)
    random = np.random.default_rng(1)
    for first, end in np.sort(random.integers(0, len(inference), (6, 2)), axis=1).tolist():
        with open_sound(path, NAME, rate_hz) as sound:
            np.testing.assert_array_equal(sound.part(first, end), inference[first:end])


@pytest.mark.parametrize(("form", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")])
@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_the_chunks_of_a_lossy_file_are_those_of_decoding_it_from_its_start(tmp_path, form, subtype, rate_hz):
    loud = np.repeat(np.random.default_rng(2).uniform(0, 1, 60), rate_hz // 2).astype(np.float32) ** 2
    path = tmp_path / "a"
    soundfile.write(path, noise(rate_hz * 30) * loud, rate_hz, format=form, subtype=subtype)
    whole = soundfile.read(path, dtype="float32")[0]
    for index in (2, 0, 1):
        with open_sound(path, NAME, rate_hz) as sound:
            first, end = sound.chunks.bounds(index)
            np.testing.assert_allclose(sound.chunk(index), whole[first:end], rtol=0, atol=1e-6)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("silent", [False, True], ids=["noise", "silence, in large pages"])
def test_the_end_of_a_vorbis_file_is_found(tmp_path, silent):
    sound = noise(16000 * 30) * (0.0 if silent else 1.0) + np.linspace(0, 0.2, 16000 * 30, dtype=np.float32)
    soundfile.write(tmp_path / "a.ogg", sound, 16000)
    whole = soundfile.read(tmp_path / "a.ogg", dtype="float32")[0]
    for start_s in (29.9, 29.0, 28.0, 25.0, 20.0, 10.0):
        clip = Clip("a", tmp_path / "a.ogg", (), start_s)
        np.testing.assert_array_equal(ClipReader(16000, 800).read(clip, None), whole[round(start_s * 16000) :][:800])


@pytest.mark.usefixtures("short")
def test_training_and_inference_get_the_same_samples(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(44100 * 7), 44100)
    inference = everything(tmp_path / "a.wav", 32000)
    for seed in range(5):
        reader, clip = ClipReader(32000, 40000), Clip("a", tmp_path / "a.wav", ())
        start = int(np.random.default_rng(seed).integers(0, 7 * 32000 - 40000 + 1))
        crop = reader.read(clip, np.random.default_rng(seed))
        np.testing.assert_array_equal(crop, inference[start : start + 40000])


@pytest.mark.usefixtures("short")
def test_a_segment_is_cut_out_of_the_sound_of_its_file(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(44100 * 7), 44100)
    inference = everything(tmp_path / "a.wav", 32000)
    for source in (tmp_path / "a.wav", Samples(soundfile.read(tmp_path / "a.wav", dtype="float32")[0], 44100)):
        waveform = ClipReader(32000, 99999).read(Clip("a", source, (), 0.875, 1.5), None)
        np.testing.assert_array_equal(waveform[: 32000 * 3 // 2], inference[28000:76000])
        assert not waveform[48000:].any()


def test_levels_that_are_refused_do_not_reach_a_segment_beside_them(tmp_path):
    sound = noise(44100)
    sound[30000:30010], sound[40000] = np.nan, 1e6
    soundfile.write(tmp_path / "a.wav", sound, 44100, subtype="FLOAT")
    silenced = np.where(np.abs(sound) <= 16, sound, 0).astype(np.float32)
    for source in (tmp_path / "a.wav", Samples(sound, 44100)):
        waveform = ClipReader(32000, 16000).read(Clip("a", source, (), 0.0, 0.5), None)
        np.testing.assert_array_equal(waveform, soxr.resample(silenced, 44100, 32000, quality="HQ")[:16000])
        with pytest.raises(BadClip, match="NaN"):
            ClipReader(32000, 16000).read(Clip("a", source, (), 0.0, 0.8), None)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("ending", ["wav", "mp3"])
def test_the_check_measures_each_frame_of_a_clip_once(tmp_path, ending):
    soundfile.write(tmp_path / f"a.{ending}", np.stack([noise(44100 * 4), noise(44100 * 4, 1)], axis=1), 44100)
    (facts,) = inspect((Clip("a", tmp_path / f"a.{ending}", (), 0.5, 2.75),), 32000)
    assert facts.duration_s == 2.75
    twice = inspect((Clip("b", tmp_path / f"a.{ending}", (), 0.5, 2.75),), 16000)
    assert twice[0].content == facts.content


@pytest.mark.parametrize(("rate_hz", "frames"), [(16000, 80000), (8000, 24000)])
def test_a_crop_of_a_long_file_decodes_one_chunk_or_itself(tmp_path, rate_hz, frames):
    soundfile.write(tmp_path / "a.wav", noise(8000 * 300), 8000)
    decoded = []
    with open_sound(tmp_path / "a.wav", NAME, rate_hz) as sound:
        sound.observe(0, 8000 * 300, lambda block, _: decoded.append(len(block)))
        sound.part(rate_hz * 155, rate_hz * 158)
    assert frames <= sum(decoded) <= frames + 2 * 256
