"""The sound of a soundscape: levels in scaper's meaning, onsets to a sample, fades, peaks, backgrounds."""

from dataclasses import replace

import numpy as np
import pytest
from mixed_sounds import clip_of, noise, silence

from pannsdist.contracts import Clip, Samples
from pannsdist.run.mixing.loudness import integrated_loudness
from pannsdist.run.mixing.planned import Plan, PlannedEvent
from pannsdist.run.mixing.recipe import BackgroundSettings, EventSettings, Recipe
from pannsdist.run.mixing.rendering import FULL_SCALE, render
from pannsdist.runtime.errors import BadClip

RATE_HZ = 16000
RECIPE = Recipe(rate_hz=RATE_HZ, duration_s=10.0, background=BackgroundSettings(level_lufs=-50.0, noise="white"))
WITHOUT_FADES = replace(RECIPE, events=EventSettings(fade_s=0.0))
SOURCE = noise(6.0, seed=5, rate_hz=RATE_HZ)


SCAPER = {
    10: 0.005930663095992654,
    10000: 4.134076355091392e-16,
    19999: -0.0007315451119748796,
    20010: 0.007239018742649083,
    20080: 0.00023561904032210648,
    20159: -0.004408604835022459,
    20170: 0.01984514061041872,
    30001: 0.012447691613806282,
    40007: -0.01018262105111602,
    43850: 0.0012895147125563979,
    43990: -0.009757032800151862,
    44003: 0.003926738884005113,
    63999: -0.0013249980867139019,
}
"""Samples by their place of the soundscape that scaper 1.6.5 makes."""


def event(onset=32000, samples=64000, snr_db=10.0, source=SOURCE, first=0):
    return PlannedEvent(clip_of(source, rate_hz=RATE_HZ), "dog", first, samples, onset, snr_db)


def rendered(*events, recipe=RECIPE, background=None):
    return render(Plan("train", 0, events, background, 0), recipe)


def power_db(waveform):
    return 10 * np.log10(np.mean(np.square(waveform)))


@pytest.mark.parametrize("snr_db", [-6.0, 5.0, 20.0])
def test_the_snr_of_stationary_noise_is_that_of_the_recipe_within_a_tenth_of_a_decibel(snr_db):
    alone = rendered().waveform
    both = rendered(event(snr_db=snr_db), recipe=WITHOUT_FADES).waveform
    sounding = slice(32000, 96000)
    added = (both - alone)[sounding]
    assert power_db(added) - power_db(alone[sounding]) == pytest.approx(snr_db, abs=0.1)
    assert integrated_loudness(added, RATE_HZ) == pytest.approx(-50.0 + snr_db, abs=1e-6)


@pytest.mark.parametrize("colour", ["white", "pink", "brown"])
def test_the_background_has_the_loudness_of_the_recipe(colour):
    recipe = replace(RECIPE, background=BackgroundSettings(level_lufs=-33.0, noise=colour))
    assert integrated_loudness(rendered(recipe=recipe).waveform, RATE_HZ) == pytest.approx(-33.0, abs=1e-6)


@pytest.mark.parametrize(("colour", "slope_db"), [("white", 0.0), ("pink", -3.01), ("brown", -6.02)])
def test_noise_falls_by_its_colour_in_every_octave(colour, slope_db):
    recipe = replace(RECIPE, background=BackgroundSettings(noise=colour), duration_s=30.0)
    spectrum = np.square(np.abs(np.fft.rfft(rendered(recipe=recipe).waveform)))
    frequencies = np.fft.rfftfreq(recipe.samples, 1 / RATE_HZ)
    octaves = [spectrum[(frequencies >= low) & (frequencies < 2 * low)].mean() for low in (100, 200, 400, 800, 1600)]
    assert np.diff(10 * np.log10(octaves)) == pytest.approx(slope_db, abs=0.3)


def test_an_event_begins_and_ends_at_its_samples():
    added = rendered(event(onset=12345, samples=6789), recipe=WITHOUT_FADES).waveform - rendered().waveform
    sounding = np.flatnonzero(np.abs(added) > 1e-9)
    assert (sounding[0], sounding[-1]) == (12345, 12345 + 6789 - 1)


def test_the_part_of_the_source_that_was_planned_is_mixed():
    added = (rendered(event(first=1000, samples=8000), recipe=WITHOUT_FADES).waveform - rendered().waveform)[
        32000:40000
    ]
    part = SOURCE[1000:9000].astype(np.float64)
    assert np.corrcoef(added, part)[0, 1] == pytest.approx(1.0, abs=1e-9)


def test_fades_are_quarters_of_a_sine_within_the_event_and_halves_of_a_short_one():
    plain = rendered(event(), recipe=WITHOUT_FADES).waveform - rendered().waveform
    faded = rendered(event()).waveform - rendered().waveform
    fade = round(0.01 * RATE_HZ)
    rising = np.sin(np.linspace(0, np.pi / 2, fade))
    assert np.allclose(faded[32000 : 32000 + fade], plain[32000 : 32000 + fade] * rising, atol=1e-12)
    assert np.allclose(faded[96000 - fade : 96000], plain[96000 - fade : 96000] * rising[::-1], atol=1e-12)
    assert np.allclose(faded[32000 + fade : 96000 - fade], plain[32000 + fade : 96000 - fade], atol=1e-12)
    short = rendered(event(samples=101)).waveform - rendered().waveform
    assert np.flatnonzero(np.abs(short) > 1e-9).max() < 32101


def test_a_soundscape_that_would_clip_is_scaled_down_as_a_whole():
    loud = rendered(event(snr_db=55.0))
    assert loud.scale < 1
    assert np.abs(loud.waveform).max() == pytest.approx(FULL_SCALE)
    quiet = rendered().waveform
    assert np.allclose(loud.waveform[:32000], quiet[:32000] * loud.scale)
    assert rendered(event()).scale == 1


def test_an_event_of_digital_silence_is_left_out_and_counted():
    found = rendered(event(source=silence(6.0, RATE_HZ)), event(onset=100000, samples=100))
    assert (len(found.events), found.silent) == (1, 1)


def test_a_recorded_background_is_cut_at_a_drawn_place_and_a_short_one_repeated():
    recording = noise(14.0, seed=9, rate_hz=RATE_HZ)
    found = rendered(background=Clip("bg", Samples(recording, RATE_HZ), ()))
    part = recording[found.background_first : found.background_first + 160000].astype(np.float64)
    assert 0 < found.background_first <= 64000
    assert np.corrcoef(found.waveform, part)[0, 1] == pytest.approx(1.0, abs=1e-9)
    short = rendered(background=Clip("bg", Samples(recording[:50000], RATE_HZ), ())).waveform
    assert np.array_equal(short[:50000], short[50000:100000])
    assert len(short) == 160000


def test_a_background_that_is_silent_where_it_is_needed_is_refused():
    recording = Clip("bg", Samples(silence(12.0, RATE_HZ), RATE_HZ), ())
    with pytest.raises(BadClip, match=r"clip 'bg' .*: it is silent for 10 s from 0\.|it is silent for 10 s from 1\."):
        rendered(background=recording)


def test_a_source_that_was_cut_meanwhile_is_refused():
    with pytest.raises(BadClip, match="it was changed while soundscapes were mixed of it"):
        rendered(event(first=90000, samples=64000))


def test_the_soundscape_is_that_of_scaper():
    """scaper 1.6.5 with the same source, background, times, SNR, reference level and fades of 10 ms."""
    recipe = replace(RECIPE, duration_s=4.0, background=BackgroundSettings(level_lufs=-46.0))
    times = np.arange(4 * RATE_HZ) / RATE_HZ
    background = (0.2 * np.sin(2 * np.pi * 300 * times) * (1.2 + np.sin(5 * times))).astype(np.float32)
    source = (0.1 * np.sin(2 * np.pi * (500 * times + 100 * times**2))).astype(np.float32)
    planned = event(source=source, first=8000, samples=24000, onset=20000, snr_db=9.0)
    mixed = rendered(planned, recipe=recipe, background=Clip("bg", Samples(background, RATE_HZ), ())).waveform
    places = list(SCAPER)
    assert mixed[places] == pytest.approx(list(SCAPER.values()), abs=1e-12)
