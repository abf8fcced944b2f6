"""The feature `log_spectrogram`, held against librosa's transform in float64."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from pannsdist_log_spectrogram import LogSpectrogram, LogSpectrogramParams
from reference_sounds import generated, image, needs_paddle_to_be_named, recordings, sound

from pannsdist.contracts import UserError
from pannsdist.devkit import conformance

TOLERANCE_DB = 0.01  # measured: 0.004 dB at worst, of what is no more than 80 dB below the clip's greatest power
AUDIBLE_DB = 80.0

test_log_spectrogram_keeps_the_contract = conformance(LogSpectrogram)


def by_librosa(waveform, params):
    spectrum = librosa.stft(
        waveform.astype(np.float64),
        n_fft=params.fft_samples,
        win_length=params.window_samples,
        hop_length=params.hop_samples,
        pad_mode="reflect",
    )
    frequencies_hz = librosa.fft_frequencies(sr=params.sample_rate_hz, n_fft=params.fft_samples)
    kept = (frequencies_hz >= params.low_hz) & (frequencies_hz <= params.highest_hz)
    return librosa.amplitude_to_db(np.abs(spectrum[kept]), amin=params.power_floor**0.5, top_db=None).T


def assert_same(waveform, params):
    found, expected = image(LogSpectrogram(params), waveform), by_librosa(waveform, params)
    assert found.shape == expected.shape
    audible = expected > expected.max() - AUDIBLE_DB
    assert np.abs(found - expected)[audible].max() <= TOLERANCE_DB
    # Below that is what rounding to float32 leaves of bins that hold next to nothing.
    assert not np.any(found[~audible] > expected.max() - AUDIBLE_DB + TOLERANCE_DB)


@recordings
def test_recordings_look_as_librosa_sees_them(name):
    assert_same(sound(name), LogSpectrogramParams())


@generated
def test_generated_sounds_look_as_librosa_sees_them(name):
    assert_same(sound(name), LogSpectrogramParams())


@pytest.mark.parametrize(
    "changed",
    [
        {"low_hz": 0.0, "high_hz": 16000.0},
        {"low_hz": 1000.0, "high_hz": 2000.0},
        {"window_samples": 400, "hop_samples": 160, "fft_samples": 512},
        {"window_samples": 801},
        {"power_floor": 1e-2},
    ],
    ids=str,
)
def test_every_param_means_what_it_means_to_librosa(changed):
    assert_same(sound("noise"), LogSpectrogramParams(**changed))


def test_the_limits_belong_to_what_is_heard():
    assert LogSpectrogram(LogSpectrogramParams(low_hz=1000.0, high_hz=2000.0)).bins == range(32, 65)


def test_a_tone_stands_in_its_bin_with_the_power_that_is_said():
    feature = LogSpectrogram(LogSpectrogramParams())
    middle = image(feature, 2 * sound("tone"))[100]  # full scale, 1000 Hz: 32 bins of 31.25 Hz
    assert middle.argmax() + feature.bins.start == 32
    assert middle.max() == pytest.approx(20 * np.log10(512 / 2), abs=1e-3)


def test_limits_with_no_bin_between_them_are_refused():
    with pytest.raises(UserError) as caught:
        LogSpectrogram(LogSpectrogramParams(low_hz=1001.0, high_hz=1010.0))
    assert str(caught.value) == (
        "no FFT bin is between 1001 and 1010 Hz\n"
        "  bins are 31.25 Hz apart: use wider limits, or a larger feature.params.fft_samples"
    )


def test_limits_in_the_wrong_order_are_refused_as_such():
    with pytest.raises(UserError, match=r"low_hz to high_hz is 900.0 to 800.0 Hz\n  allowed: 0 to 16000 Hz, the lower"):
        LogSpectrogram(LogSpectrogramParams(low_hz=900.0, high_hz=800.0))


def test_naming_it_does_not_import_paddle():
    assert not needs_paddle_to_be_named("pannsdist_log_spectrogram", "LogSpectrogram")
