"""Loudness in LUFS, against the figures of the standard and of pyloudnorm, by which scaper measures."""

import math

import numpy as np
import pytest

from pannsdist.run.mixing.loudness import gain, integrated_loudness, loudness_of_any_level

SCAPER = [
    (0.1, 16000, -22.7457308879779),
    (0.45, 8000, -19.493651471979238),
    (0.5, 22050, -19.217438751988343),
    (1.3, 32000, -19.1213229664614),
    (4.0, 44100, -19.941893958155095),
    (10.0, 48000, -18.056130079245804),
]
"""scaper.audio.get_integrated_lufs(chirped(DURATION, RATE)[:, None], RATE) of scaper 1.6.5 with pyloudnorm 0.2.0."""


def tone(frequency_hz, duration_s, rate_hz, level=1.0):
    return level * np.sin(2 * np.pi * frequency_hz * np.arange(round(duration_s * rate_hz)) / rate_hz)


def test_a_tone_of_997_hz_at_full_scale_has_the_loudness_of_the_standard():
    assert integrated_loudness(tone(997, 5, 48000), 48000) == pytest.approx(-3.01, abs=0.05)


def chirped(duration_s, rate_hz):
    times = np.arange(round(duration_s * rate_hz)) / rate_hz
    return 0.1 * np.sin(2 * np.pi * (100 * times + 150 * times**2)) * (1.1 + np.sin(3 * times))


@pytest.mark.parametrize(("duration_s", "rate_hz", "lufs"), SCAPER)
def test_it_is_that_of_scaper_and_pyloudnorm(duration_s, rate_hz, lufs):
    assert integrated_loudness(chirped(duration_s, rate_hz), rate_hz) == pytest.approx(lufs, abs=1e-9)


def test_a_short_sound_is_as_loud_as_its_repetition():
    short = tone(500, 0.1, 16000, 0.1)
    assert integrated_loudness(short, 16000) == integrated_loudness(np.tile(short, 5), 16000)


def test_silence_has_no_loudness_and_a_very_quiet_sound_has_one():
    assert integrated_loudness(np.zeros(16000), 16000) == -math.inf
    assert loudness_of_any_level(np.zeros(16000), 16000) == -math.inf
    quiet = tone(997, 1, 16000, 1e-5)
    assert integrated_loudness(quiet, 16000) == -math.inf
    assert loudness_of_any_level(quiet, 16000) == pytest.approx(
        loudness_of_any_level(1e5 * quiet, 16000) - 100, abs=1e-6
    )


def test_a_gain_moves_the_loudness_by_as_much():
    sound = tone(440, 2, 16000, 0.2)
    before = integrated_loudness(sound, 16000)
    assert integrated_loudness(sound * gain(before, -40.0), 16000) == pytest.approx(-40.0, abs=1e-9)
