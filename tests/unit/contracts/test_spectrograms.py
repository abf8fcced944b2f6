"""Spectrograms for people: a tone stands at its frequency and its time."""

import numpy as np
import pytest

from pannsdist.contracts.spectrograms import COLUMNS, ROWS, spectrogram


@pytest.mark.parametrize("hz", [60, 440, 3000, 7000])
def test_a_tone_stands_at_its_frequency_and_its_time(hz):
    time_s = np.arange(32000) / 16000
    found = spectrogram(np.where(time_s > 1.0, np.sin(2 * np.pi * hz * time_s), 0.0), 16000)
    assert found.levels.shape[0] == ROWS
    assert abs(found.levels[:, -20].argmax() - found.height(hz) * (ROWS - 1)) <= 1.5
    half = found.levels.shape[1] // 2
    assert found.levels[:, : half - 3].max() == 0.0
    assert found.levels.max() == 1.0


@pytest.mark.parametrize("samples", [0, 1, 100, 10**6])
def test_a_sound_of_any_length_has_one(samples):
    found = spectrogram(np.random.default_rng(0).normal(size=samples), 8000)
    assert 1 <= found.levels.shape[1] <= COLUMNS
    assert np.isfinite(found.levels).all()
    assert found.ticks_hz == [100, 500, 1000, 2000, 4000]


@pytest.mark.parametrize(("duration_s", "count"), [(0.2, 5), (0.42, 5), (1.0, 6), (5.0, 6), (10.0, 6), (59.0, 6)])
def test_a_time_axis_has_a_few_round_ticks(duration_s, count):
    ticks = spectrogram(np.zeros(round(8000 * duration_s)), 8000).ticks_s
    assert 3 <= len(ticks) <= count + 1
    assert ticks[0] == 0.0
    assert ticks[-1] <= duration_s + 1e-9
