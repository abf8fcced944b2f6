"""The feature `pcen`, held against `librosa.pcen`, and its smoothing against a recursive filter, both in float64."""

from __future__ import annotations

import librosa
import numpy as np
import paddle
import pytest
from pannsdist_pcen import Pcen, PcenParams
from pannsdist_pcen.normalisation import FORGOTTEN, smoothed, weight_of_a_frame
from reference_sounds import image, needs_paddle_to_be_named, recordings, sound
from scipy.signal import lfilter

from pannsdist.contracts import UserError
from pannsdist.devkit import conformance

TOLERANCE = 2e-4  # measured: 6e-5 at worst, of values up to 6.4
TONAL_TOLERANCE = 2e-2  # measured: 0.0075 at worst

test_pcen_keeps_the_contract = conformance(Pcen)


def by_librosa(waveform, params):
    mel = librosa.feature.melspectrogram(
        y=waveform.astype(np.float64),
        sr=params.sample_rate_hz,
        n_fft=params.fft_samples,
        win_length=params.window_samples,
        hop_length=params.hop_samples,
        n_mels=params.mel_bins,
        fmin=params.low_hz,
        fmax=params.highest_hz,
        power=1.0,
        pad_mode="reflect",
    )
    return librosa.pcen(
        mel * 2**31,
        sr=params.sample_rate_hz,
        hop_length=params.hop_samples,
        gain=params.gain,
        bias=params.bias,
        power=params.power,
        time_constant=params.time_constant_s,
        eps=params.eps,
    ).T


@recordings
def test_recordings_look_as_librosa_sees_them(name):
    found, expected = image(Pcen(PcenParams()), sound(name)), by_librosa(sound(name), PcenParams())
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    # Between the partials of a pure tone there is only rounding, and this feature makes it loud.
    [("noise", TOLERANCE), ("click", TOLERANCE), ("silence", 0), ("tone", TONAL_TOLERANCE), ("chirp", TONAL_TOLERANCE)],
)
def test_generated_sounds_look_as_librosa_sees_them(name, tolerance):
    found, expected = image(Pcen(PcenParams()), sound(name)), by_librosa(sound(name), PcenParams())
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    "changed",
    [
        {"gain": 0.5, "bias": 10.0, "power": 0.25},
        {"gain": 0.0, "power": 0.1},
        {"bias": 0.0, "power": 1.0},
        {"time_constant_s": 0.06, "eps": 1.0},
        {"time_constant_s": 5.0},
        {"hop_samples": 160, "window_samples": 800, "mel_bins": 40, "low_hz": 300.0, "high_hz": 8000.0},
    ],
    ids=str,
)
def test_every_param_means_what_it_means_to_librosa(changed):
    params = PcenParams(**changed)
    found, expected = image(Pcen(params), sound("noise")), by_librosa(sound("noise"), params)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * expected.max())
    assert changed.keys() <= vars(Pcen(params).params).keys()


def recursive(energy, share):
    """Frame by frame, from a state of 1 on."""
    return lfilter([share], [1, share - 1], energy, axis=1, zi=np.full((len(energy), 1, energy.shape[2]), 1 - share))[0]


@pytest.mark.parametrize("frames", [1, 2, 3, 64, 65, 1500])
@pytest.mark.parametrize("share", [1.0, 0.9, 0.0247, 0.002])
def test_the_smoothing_is_the_recursive_filter(frames, share):
    energy = np.random.default_rng(frames).exponential(1e6, (2, frames, 3)).astype(np.float32)
    found = smoothed(paddle.to_tensor(energy), share).numpy()
    np.testing.assert_allclose(found, recursive(energy.astype(np.float64), share), rtol=2e-6)


def test_what_is_forgotten_is_less_than_the_bound():
    energy = np.zeros((1, 3000, 1), np.float32)
    energy[0, :200] = 1e9
    off = np.abs(smoothed(paddle.to_tensor(energy), 0.0247).numpy() - recursive(energy.astype(np.float64), 0.0247))
    assert off[0, 200:].max() <= 1e9 * 1e-6  # rounding, while it is still remembered
    assert off[0, 1300:].max() <= 1e9 * FORGOTTEN
    assert off[0, 1300:].max() > 0


def test_a_clip_is_smoothed_to_the_same_bits_in_any_batch():
    energy = paddle.to_tensor(np.random.default_rng(0).exponential(1e6, (5, 301, 64)).astype(np.float32))
    together = smoothed(energy, 0.0247).numpy()
    for row in range(5):
        np.testing.assert_array_equal(smoothed(energy[row : row + 1], 0.0247).numpy()[0], together[row])


def test_a_time_constant_of_no_frame_is_no_smoothing():
    assert weight_of_a_frame(1e-9) == pytest.approx(1.0)
    assert weight_of_a_frame(40.0) == pytest.approx((np.sqrt(1 + 4 * 40**2) - 1) / (2 * 40**2))


def test_a_bias_below_nothing_is_refused_at_the_door():
    from pannsdist.settings import SettingsOrigin, fill_params

    with pytest.raises(UserError, match=r"^feature.params.bias is -1.0\n  allowed: 0.0 or more"):
        fill_params(PcenParams, {"bias": -1.0}, SettingsOrigin(), "feature.params")


def test_naming_it_does_not_import_paddle():
    assert not needs_paddle_to_be_named("pannsdist_pcen", "Pcen")
