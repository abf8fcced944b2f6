"""Sound files of every format give the same mono samples at the requested rate, in one piece and in blocks."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from pannsdist.audio import chunks, reader
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.inspection import inspect
from pannsdist.audio.reader import Recording, clip_name, clip_span, open_source
from pannsdist.audio.sounds import mix_to_mono, mono_blocks
from pannsdist.contracts import Clip, Samples
from pannsdist.runtime.errors import BadClip

RATE_HZ = 32000
TONE_HZ = 1000.0


def sine(hz=TONE_HZ, duration_s=1.0, rate_hz=RATE_HZ, level=0.5):
    return level * np.sin(2 * np.pi * hz * np.arange(round(duration_s * rate_hz)) / rate_hz)


def read(path, rate_hz=RATE_HZ, **cut):
    clip = Clip("a", path, (), **cut)
    with open_source(path, clip_name(clip)) as source:
        samples = np.concatenate(list(source.blocks(*clip_span(clip, source))))
    return to_mono(samples, source.verdict.rate_hz, rate_hz)


def to_mono(samples, own_hz, rate_hz):
    """Without the package's own resampling."""
    mono = mix_to_mono(samples)
    return mono if own_hz == rate_hz else soxr.resample(mono, own_hz, rate_hz, quality="HQ")


def loudest_hz(waveform, rate_hz):
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(spectrum.argmax() * rate_hz / len(waveform))


@pytest.mark.parametrize(
    ("ending", "subtype", "tolerance"),
    [
        ("wav", "PCM_U8", 2**-7),
        ("wav", "PCM_16", 2**-15),
        ("wav", "PCM_24", 2**-23),
        ("wav", "PCM_32", 1e-7),
        ("wav", "FLOAT", 0.0),
        ("wav", "DOUBLE", 1e-7),
        ("flac", "PCM_16", 2**-15),
        ("flac", "PCM_24", 2**-23),
        ("ogg", "VORBIS", 0.02),
        ("mp3", "MPEG_LAYER_III", 0.06),
        ("aiff", "PCM_16", 2**-15),
        ("au", "PCM_16", 2**-15),
    ],
)
def test_a_tone_is_the_same_in_every_format(tmp_path, ending, subtype, tolerance):
    path = tmp_path / f"tone.{ending}"
    tone = sine().astype(np.float32)
    soundfile.write(path, tone, RATE_HZ, subtype=subtype)
    waveform = read(path)
    assert waveform.dtype == np.float32
    assert len(waveform) == len(tone)
    inner = slice(2000, -2000) if ending in ("ogg", "mp3") else slice(None)
    assert np.abs(waveform[inner] - tone[inner]).max() <= tolerance


def test_an_ending_says_nothing_the_content_does(tmp_path):
    soundfile.write(tmp_path / "tone.flac", sine(), RATE_HZ)
    (tmp_path / "tone.flac").rename(tmp_path / "tone.wav")
    assert len(read(tmp_path / "tone.wav")) == RATE_HZ


def test_channels_become_their_mean(tmp_path):
    channels = np.stack([sine(), np.zeros(RATE_HZ), -0.5 * sine()], axis=1)
    soundfile.write(tmp_path / "a.wav", channels, RATE_HZ, subtype="FLOAT")
    np.testing.assert_allclose(read(tmp_path / "a.wav"), channels.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("source_hz", [8000, 22050, 44100, 48000, 96000])
def test_resampling_keeps_length_pitch_and_level(tmp_path, source_hz):
    soundfile.write(tmp_path / "a.wav", sine(rate_hz=source_hz), source_hz, subtype="FLOAT")
    waveform = read(tmp_path / "a.wav")
    assert len(waveform) == RATE_HZ
    assert loudest_hz(waveform, RATE_HZ) == pytest.approx(TONE_HZ, abs=1.0)
    inner = waveform[RATE_HZ // 10 : -RATE_HZ // 10]
    assert np.abs(inner).max() == pytest.approx(0.5, rel=0.01)
    np.testing.assert_allclose(inner, sine()[RATE_HZ // 10 : -RATE_HZ // 10], atol=0.005)


def test_what_a_lower_rate_cannot_hold_is_gone(tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(hz=7000.0), RATE_HZ, subtype="FLOAT")
    assert np.abs(read(tmp_path / "a.wav", rate_hz=8000)[500:-500]).max() < 1e-3


def test_the_same_rate_leaves_the_samples_as_they_are():
    samples = np.random.default_rng(0).normal(size=(100, 1)).astype(np.float32)
    np.testing.assert_array_equal(to_mono(samples, RATE_HZ, RATE_HZ), samples[:, 0])


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_start_and_duration_cut_a_piece_out(tmp_path, ending):
    steps = np.repeat([0.1, 0.2, 0.3, 0.4], RATE_HZ) * np.tile(sine(level=1.0), 4)
    soundfile.write(tmp_path / f"a.{ending}", steps, RATE_HZ)
    piece = read(tmp_path / f"a.{ending}", start_s=2.0, duration_s=1.0)
    assert len(piece) == RATE_HZ
    assert np.abs(piece[1000:-1000]).max() == pytest.approx(0.3, abs=0.03)
    assert len(read(tmp_path / f"a.{ending}", start_s=3.5)) == RATE_HZ // 2


@pytest.mark.parametrize(("start_s", "first"), [(0.04999, 500), (0.05001, 500), (0.00016, 2), (0.00014, 1)])
def test_a_start_is_the_nearest_sample(start_s, first):
    ramp = np.arange(1000, dtype=np.float32) / 1000
    clip = Clip("a", Samples(ramp, 10000), (), start_s, 0.00051)
    with open_source(clip.source, clip_name(clip)) as source:
        assert clip_span(clip, source) == (first, first + 5)
    waveform = ClipReader(10000, 5).read(clip, None)
    np.testing.assert_array_equal(waveform, ramp[first : first + 5])


def test_a_piece_is_the_same_whatever_is_decoded_around_it(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE_HZ).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", noise, RATE_HZ, subtype="FLOAT")
    piece = read(tmp_path / "a.wav", start_s=0.5, duration_s=0.25)
    np.testing.assert_array_equal(piece, noise[RATE_HZ // 2 : RATE_HZ * 3 // 4])


@pytest.mark.parametrize(("rate_hz", "channels"), [(32000, 1), (44100, 1), (8000, 2), (48000, 3)])
def test_blocks_put_together_are_the_file_resampled_as_a_whole(tmp_path, monkeypatch, rate_hz, channels):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (round(3.7 * rate_hz), channels)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, rate_hz, subtype="FLOAT")
    monkeypatch.setattr(chunks, "CHUNK_S", 1)
    parts = list(mono_blocks(tmp_path / "a.wav", 32000))
    assert [len(part) for part in parts] == [32000, 32000, 32000, 22400]
    np.testing.assert_allclose(np.concatenate(parts), to_mono(samples, rate_hz, 32000), atol=1e-6)


def test_what_is_no_sound_is_refused_by_its_path(tmp_path):
    (tmp_path / "text.wav").write_text("words", encoding="utf-8")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 32000)
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), 32000, subtype="FLOAT")
    for name, why in (("text", "cannot decode"), ("empty", "no samples"), ("nan", "NaN"), ("gone", "no such file")):
        with pytest.raises(BadClip, match=f"{name}.wav.*{why}"):
            list(mono_blocks(tmp_path / f"{name}.wav", 32000))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize(("rate_hz", "channels"), [(32000, None), (44100, None), (8000, 2), (22050.5, 1)])
def test_a_recording_in_memory_gives_the_samples_of_a_file_of_it(monkeypatch, rate_hz, channels, dtype):
    shape = (round(3 * rate_hz),) if channels is None else (round(3 * rate_hz), channels)
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype(dtype)
    monkeypatch.setattr(chunks, "CHUNK_S", 1)
    parts = list(mono_blocks(Recording("a", samples, rate_hz), 32000))
    assert len(parts) == (3 if rate_hz == int(rate_hz) else 1)
    assert {part.dtype for part in parts} == {np.dtype(np.float32)}
    whole = to_mono(samples.astype(np.float32).reshape(len(samples), -1), rate_hz, 32000)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6 if dtype != np.float16 else 1e-3)


def test_a_bad_recording_is_refused_by_its_name():
    for samples, why in ((np.zeros(0), "no samples"), (np.zeros((0, 2)), "no samples"), (np.array([np.inf]), "NaN or")):
        with pytest.raises(BadClip, match=rf"clip 'sounds\[4\]' \(in memory\): it contains {why}"):
            list(mono_blocks(Recording("sounds[4]", samples, 8000), 8000))


def test_the_duration_of_a_sound_is_known_without_decoding_it(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((500, 2)), 1000)
    assert reader.duration_s(tmp_path / "a.wav") == 0.5
    assert reader.duration_s(Recording("a", np.zeros((500, 2)), 1000)) == 0.5
    with pytest.raises(BadClip, match="no such file"):
        reader.duration_s(tmp_path / "gone.wav")


@pytest.fixture
def opened(monkeypatch):
    """The paths that are opened as sound files, in order."""
    paths = []

    class CountingSoundFile(soundfile.SoundFile):
        def __init__(self, file, *others, **named):
            paths.append(Path(os.fsdecode(file)))
            super().__init__(file, *others, **named)

    monkeypatch.setattr(soundfile, "SoundFile", CountingSoundFile)
    return paths


@pytest.mark.parametrize("generator", [None, np.random.default_rng(0)], ids=["from the start", "random crop"])
def test_a_training_clip_is_examined_once_and_then_opened_once_an_epoch(tmp_path, opened, generator):
    soundfile.write(tmp_path / "a.wav", sine(rate_hz=44100), 44100)
    opened.clear()
    for opens in (2, 3, 4):
        waveform = ClipReader(RATE_HZ, 1000).read(Clip("a", tmp_path / "a.wav", (), 0.1, 0.5), generator)
        assert (len(waveform), len(opened)) == (1000, opens)


def test_the_check_and_inference_read_an_examined_file_in_one_pass(tmp_path, opened):
    soundfile.write(tmp_path / "a.wav", sine(), RATE_HZ)
    opened.clear()
    (facts,) = inspect((Clip("a", tmp_path / "a.wav", ()),), RATE_HZ)
    assert (facts.duration_s, len(opened)) == (1.0, 2)
    assert sum(map(len, mono_blocks(tmp_path / "a.wav", 8000))) == 8000
    assert len(opened) == 3


def test_a_file_that_cannot_seek_is_read_in_training_and_in_inference(tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(rate_hz=8000), 8000, subtype="GSM610")
    (whole,) = mono_blocks(tmp_path / "a.wav", 8000)
    np.testing.assert_array_equal(read(tmp_path / "a.wav", 8000), whole)
    np.testing.assert_array_equal(read(tmp_path / "a.wav", 8000, start_s=0.25, duration_s=0.5), whole[2000:6000])
    assert loudest_hz(whole, 8000) == pytest.approx(TONE_HZ, abs=5.0)


def test_a_file_that_is_cut_after_it_was_examined_is_refused_where_it_ends(tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(), RATE_HZ)
    with (
        pytest.raises(BadClip, match="it ends 30000 samples before its length"),
        open_source(tmp_path / "a.wav", reader.SourceName("a", "", "")) as source,
    ):
        os.truncate(tmp_path / "a.wav", 44 + 2 * 2000)
        list(source.blocks(0, RATE_HZ))


def test_a_span_of_a_sample_source_and_of_a_recording_is_that_of_the_file(tmp_path):
    samples = np.random.default_rng(0).normal(0, 0.1, (1000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    for source in (tmp_path / "a.wav", Samples(samples, RATE_HZ), Recording("a", samples, RATE_HZ)):
        with open_source(source, reader.SourceName("a", "", "")) as opened_source:
            assert (opened_source.verdict.frames, opened_source.verdict.rate_hz) == (1000, RATE_HZ)
            for first in (200, 700, 0, 699):
                read = np.concatenate(list(opened_source.blocks(first, 700 + first // 10)))
                np.testing.assert_array_equal(read, samples[first : 700 + first // 10])
