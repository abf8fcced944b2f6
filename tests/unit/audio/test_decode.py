"""Sound files of every kind become the same mono samples at the rate that is asked for."""

import numpy as np
import pytest
import soundfile

from pannsdist.audio.decode import Piece, length_of, read_file, source_span, to_mono
from pannsdist.contracts import Clip

RATE_HZ = 32000
TONE_HZ = 1000.0


def sine(hz=TONE_HZ, duration_s=1.0, rate_hz=RATE_HZ, level=0.5):
    return level * np.sin(2 * np.pi * hz * np.arange(round(duration_s * rate_hz)) / rate_hz)


def read(path, rate_hz=RATE_HZ, **cut):
    clip = Clip("a", path, (), **cut)
    first, end = source_span(clip, *length_of(clip))
    return to_mono(read_file(path, first, end, clip), rate_hz)


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
    heard = read(path)
    assert heard.dtype == np.float32
    assert len(heard) == len(tone)
    inner = slice(2000, -2000) if ending in ("ogg", "mp3") else slice(None)
    assert np.abs(heard[inner] - tone[inner]).max() <= tolerance


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
    heard = read(tmp_path / "a.wav")
    assert len(heard) == RATE_HZ
    assert loudest_hz(heard, RATE_HZ) == pytest.approx(TONE_HZ, abs=1.0)
    inner = heard[RATE_HZ // 10 : -RATE_HZ // 10]
    assert np.abs(inner).max() == pytest.approx(0.5, rel=0.01)
    np.testing.assert_allclose(inner, sine()[RATE_HZ // 10 : -RATE_HZ // 10], atol=0.005)


def test_what_a_lower_rate_cannot_hold_is_gone(tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(hz=7000.0), RATE_HZ, subtype="FLOAT")
    assert np.abs(read(tmp_path / "a.wav", rate_hz=8000)[500:-500]).max() < 1e-3


def test_the_same_rate_leaves_the_samples_as_they_are():
    samples = np.random.default_rng(0).normal(size=(100, 1)).astype(np.float32)
    np.testing.assert_array_equal(to_mono(Piece(samples, RATE_HZ), RATE_HZ), samples[:, 0])


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_start_and_duration_cut_a_piece_out(tmp_path, ending):
    steps = np.repeat([0.1, 0.2, 0.3, 0.4], RATE_HZ) * np.tile(sine(level=1.0), 4)
    soundfile.write(tmp_path / f"a.{ending}", steps, RATE_HZ)
    piece = read(tmp_path / f"a.{ending}", start_s=2.0, duration_s=1.0)
    assert len(piece) == RATE_HZ
    assert np.abs(piece[1000:-1000]).max() == pytest.approx(0.3, abs=0.03)
    assert len(read(tmp_path / f"a.{ending}", start_s=3.5)) == RATE_HZ // 2


def test_a_piece_is_the_same_whatever_is_decoded_around_it(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE_HZ).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", noise, RATE_HZ, subtype="FLOAT")
    piece = read(tmp_path / "a.wav", start_s=0.5, duration_s=0.25)
    np.testing.assert_array_equal(piece, noise[RATE_HZ // 2 : RATE_HZ * 3 // 4])
