"""What feature plugins build on: the settings of a spectrum, its record, and its layers."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.contracts import FrontEnd, UserError
from pannsdist.contracts.spectrum import BandImage, SpectrumImage, decibels, mel_bands
from pannsdist.contracts.spectrum_params import SpectrumParams
from pannsdist.settings import SettingsOrigin, fill_params

SMALL = {"sample_rate_hz": 8000, "window_samples": 200, "hop_samples": 80, "fft_samples": 256, "high_hz": 4000.0}


class Power(SpectrumImage):
    """The power itself."""

    def image(self, energy):
        return energy


class ClipFeatures(BandImage):
    """What the bands hear."""

    def image(self, energy):
        return energy


def noise(samples=1601, clips=2):
    return np.random.default_rng(0).normal(0, 0.1, (clips, samples)).astype(np.float32)


def by_numpy(waveform, front_end):
    """Power of each frame in float64: (T, fft_samples // 2 + 1)."""
    fft, length = front_end.fft_samples, front_end.window_samples
    window = np.zeros(fft)
    first = (fft - length) // 2
    window[first : first + length] = np.hanning(length + 1)[:-1]
    padded = np.pad(waveform.astype(np.float64), fft // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, fft)[:: front_end.hop_samples]
    return np.abs(np.fft.rfft(frames * window)) ** 2


def test_the_record_of_the_log_mel_is_what_published_weights_were_stored_with():
    assert LogMel(LogMelParams()).front_end == FrontEnd(
        kind="logmel",
        sample_rate_hz=32000,
        window_samples=1024,
        hop_samples=320,
        fft_samples=1024,
        bins=64,
        low_hz=50.0,
        high_hz=14000.0,
        details=(
            ("mel", "slaney"),
            ("pad", "reflect"),
            ("power_floor", 1e-10),
            ("scale", "db"),
            ("window", "hann"),
        ),
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"window_samples": 2048},
            "feature.params.window_samples is 2048, longer than fft_samples\n  allowed: 1 to 1024",
        ),
        (
            {"high_hz": 17000.0},
            "feature.params.low_hz to high_hz is 50.0 to 17000.0 Hz\n  allowed: 0 to 16000 Hz, the lower one first",
        ),
        ({"low_hz": 900.0, "high_hz": 800.0}, "feature.params.low_hz to high_hz is 900.0 to 800.0 Hz"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changed, said):
    with pytest.raises(UserError) as caught:
        SpectrumParams(**changed).front_end("any", 1)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("name", ["sample_rate_hz", "window_samples", "hop_samples", "fft_samples"])
def test_a_count_below_one_is_refused_at_the_door(name):
    with pytest.raises(UserError) as caught:
        fill_params(SpectrumParams, {name: 0}, SettingsOrigin(), "feature.params")
    assert str(caught.value).startswith(f"feature.params.{name} is 0\n  allowed: 1 or more")


def test_details_are_sorted_and_may_replace_what_is_usual():
    front_end = SpectrumParams().front_end("any", 3, window="other", about=1)
    assert front_end.details == (("about", 1), ("pad", "reflect"), ("window", "other"))


@pytest.mark.parametrize(
    "changed", [{}, {"window_samples": 256}, {"window_samples": 201}, {"fft_samples": 255}], ids=str
)
def test_the_power_is_that_of_a_transform_in_float64(changed):
    front_end = SpectrumParams(**{**SMALL, **changed}).front_end("any", 30)
    found = Power(front_end, 10, 40)(paddle.to_tensor(noise())).numpy()
    for row, waveform in enumerate(noise()):
        expected = by_numpy(waveform, front_end)[:, 10:40]
        assert found[row, 0].shape == expected.shape
        np.testing.assert_allclose(found[row, 0], expected, rtol=0, atol=2e-6 * expected.max())


def test_a_window_shorter_than_the_transform_needs_no_more_than_half_of_itself():
    front_end = SpectrumParams(**SMALL).front_end("any", 4)
    assert Power(front_end, 0, 4)(paddle.to_tensor(noise(101))).shape == [2, 1, 2, 4]


@pytest.mark.parametrize("magnitude", [False, True])
def test_bands_hear_power_or_magnitude(magnitude):
    front_end = SpectrumParams(**SMALL).front_end("any", 20)
    bands = mel_bands(front_end, 20)
    found = ClipFeatures(front_end, bands, magnitude)(paddle.to_tensor(noise())).numpy()[0, 0]
    power = by_numpy(noise()[0], front_end)
    expected = (power**0.5 if magnitude else power) @ bands.T
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_bins_that_no_band_hears_are_not_computed():
    front_end = SpectrumParams(**SMALL).front_end("any", 1)
    bands = np.zeros((1, 129))
    bands[0, 5:8] = 1
    assert len(ClipFeatures(front_end, bands).power.fourier) == 2 * 3


def test_bands_that_hear_nothing_are_refused():
    front_end = SpectrumParams(**{**SMALL, "low_hz": 40.0, "high_hz": 50.0}).front_end("any", 1)
    with pytest.raises(UserError) as caught:
        ClipFeatures(front_end, np.zeros((1, 129)))
    assert str(caught.value).startswith("the transform has no frequency from 40 to 50 Hz\n  they are 31.25 Hz")


def test_decibels_stop_at_the_floor():
    np.testing.assert_allclose(
        decibels(paddle.to_tensor([0.0, 1e-12, 0.01, 10.0]), 1e-10).numpy(), [-100, -100, -20, 10]
    )
