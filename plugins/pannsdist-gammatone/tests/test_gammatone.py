"""The feature `gammatone`, held against frames that went through `scipy.signal.gammatone` in time, in float64."""

from __future__ import annotations

import numpy as np
import pytest
from pannsdist_gammatone import Gammatone, GammatoneParams
from pannsdist_gammatone.filters import centres_hz, gains
from reference_sounds import RATE_HZ, generated, image, needs_paddle_to_be_named, recordings, sound
from scipy import signal

from pannsdist.contracts import UserError
from pannsdist.devkit import conformance
from pannsdist.settings import SettingsOrigin, fill_params

TOLERANCE_DB = 0.1  # measured: 0.072 dB at worst
FINE_TOLERANCE_DB = 0.03  # measured: 0.025 dB; scipy's own gain at the centre is 0.024 dB off 1 in the lowest filter
EVERY = 40
"""The reference takes its time: of each sound, this frame and its multiples."""

test_gammatone_keeps_the_contract = conformance(Gammatone)


def through_filters(waveform, front_end):
    """Mean power, under the window, of what comes out of each filter for a windowed frame, to its end: (T / 40, F)."""
    window = signal.get_window("hann", front_end.window_samples)
    padded = np.pad(waveform.astype(np.float64), front_end.window_samples // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, len(window))[:: EVERY * front_end.hop_samples] * window
    powers = []
    for centre_hz in centres_hz(front_end):
        response, _ = signal.gammatone(centre_hz, "fir", order=4, numtaps=RATE_HZ // 4, fs=RATE_HZ)
        powers.append((signal.fftconvolve(frames, response[None], axes=1) ** 2).sum(axis=1) / np.sum(window**2))
    return 10 * np.log10(np.maximum(np.stack(powers, axis=1), 1e-10))


def off_db(waveform, params):
    feature = Gammatone(params)
    return np.abs(image(feature, waveform)[::EVERY] - through_filters(waveform, feature.front_end)).max()


@recordings
def test_recordings_have_the_power_that_comes_out_of_the_filters(name):
    assert off_db(sound(name), GammatoneParams()) <= TOLERANCE_DB


@generated
def test_generated_sounds_have_the_power_that_comes_out_of_the_filters(name):
    assert off_db(sound(name), GammatoneParams()) <= TOLERANCE_DB


@pytest.mark.parametrize(
    "changed",
    [{}, {"window_samples": 800, "hop_samples": 400}, {"filters": 20, "low_hz": 100.0, "high_hz": 8000.0}],
    ids=str,
)
def test_a_longer_transform_is_nearer(changed):
    assert off_db(sound("noise"), GammatoneParams(fft_samples=4096, **changed)) <= FINE_TOLERANCE_DB


def test_centres_are_as_far_apart_in_equivalent_rectangular_bandwidths():
    centres = centres_hz(Gammatone(GammatoneParams()).front_end)
    numbers = 21.4 * np.log10(1 + 0.00437 * centres)  # Glasberg and Moore, equation 4, which rounds its constants
    np.testing.assert_allclose(np.diff(numbers), np.diff(numbers).mean(), rtol=1e-3)
    np.testing.assert_allclose(centres[[0, -1]], [50, 14000])


def test_a_tone_of_full_scale_has_its_power_at_its_own_filter():
    feature = Gammatone(GammatoneParams(low_hz=1000.0, high_hz=8000.0))
    middle = image(feature, 2 * sound("tone"))[100]
    assert middle.argmax() == 0
    assert middle[0] == pytest.approx(10 * np.log10(0.5), abs=0.3)  # the window spreads it wider than the filter


def test_a_filter_lets_its_centre_through_as_it_is():
    front_end = Gammatone(GammatoneParams()).front_end
    response = gains(front_end, 1000.0)
    assert response[64] == pytest.approx(1.0, abs=1e-9)  # 64 bins of 15.625 Hz
    assert np.all(np.delete(response, 64) < 1)


def test_a_centre_at_no_frequency_is_refused_at_the_door():
    with pytest.raises(UserError, match=r"^feature.params.low_hz is 0.0\n  allowed: above 0.0"):
        fill_params(GammatoneParams, {"low_hz": 0.0}, SettingsOrigin(), "feature.params")


def test_naming_it_does_not_import_paddle():
    assert not needs_paddle_to_be_named("pannsdist_gammatone", "Gammatone")
