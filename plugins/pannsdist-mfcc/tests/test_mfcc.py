"""The feature `mfcc`, held against `librosa.feature.mfcc` in float64."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from pannsdist_mfcc import Mfcc, MfccParams
from reference_sounds import generated, image, needs_paddle_to_be_named, recordings, sound

from pannsdist.contracts import UserError
from pannsdist.devkit import conformance

TOLERANCE = 2e-3  # measured: 6e-4 at worst

test_mfcc_keeps_the_contract = conformance(Mfcc)


def by_librosa(waveform, params):
    log_mel = librosa.power_to_db(
        librosa.feature.melspectrogram(
            y=waveform.astype(np.float64),
            sr=params.sample_rate_hz,
            n_fft=params.fft_samples,
            win_length=params.window_samples,
            hop_length=params.hop_samples,
            n_mels=params.mel_bins,
            fmin=params.low_hz,
            fmax=params.highest_hz,
            htk=params.mel == "htk",
            pad_mode="reflect",
        ),
        top_db=params.range_db or None,
    )
    return librosa.feature.mfcc(S=log_mel, n_mfcc=params.coefficients).T


@recordings
def test_coefficients_of_recordings_are_those_of_librosa(name):
    found, expected = image(Mfcc(MfccParams()), sound(name)), by_librosa(sound(name), MfccParams())
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


@generated
def test_coefficients_of_generated_sounds_are_those_of_librosa(name):
    found, expected = image(Mfcc(MfccParams()), sound(name)), by_librosa(sound(name), MfccParams())
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    "changed",
    [
        {"mel": "htk"},
        {"range_db": 0.0},
        {"range_db": 20.0},
        {"window_samples": 800, "hop_samples": 200, "mel_bins": 32, "coefficients": 13},
        {"mel_bins": 20, "coefficients": 20, "low_hz": 300.0, "high_hz": 8000.0},
    ],
    ids=str,
)
def test_every_param_means_what_it_means_to_librosa(changed):
    params = MfccParams(**changed)
    noise = sound("noise") * np.linspace(0, 1, len(sound("noise")), dtype=np.float32) ** 4
    np.testing.assert_allclose(image(Mfcc(params), noise), by_librosa(noise, params), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    "changed", [{"mel": "htk"}, {"mel_bins": 50}, {"range_db": 0.0}, {"coefficients": 13}], ids=str
)
def test_two_that_compute_differently_say_so(changed):
    assert Mfcc(MfccParams(**changed)).front_end != Mfcc(MfccParams()).front_end


def test_the_range_is_that_of_each_clip():
    loud, quiet = sound("noise"), 1e-3 * sound("noise")
    shift = image(Mfcc(MfccParams()), loud) - image(Mfcc(MfccParams()), quiet)
    np.testing.assert_allclose(shift[:, 0], 60 * np.sqrt(64), atol=1e-2)
    np.testing.assert_allclose(shift[:, 1:], 0, atol=1e-2)


def test_more_coefficients_than_bands_are_refused():
    with pytest.raises(UserError) as caught:
        Mfcc(MfccParams(mel_bins=20))
    assert str(caught.value) == "feature.params.coefficients is 40, more than mel_bins\n  allowed: 1 to 20"


def test_naming_it_does_not_import_paddle():
    assert not needs_paddle_to_be_named("pannsdist_mfcc", "Mfcc")
