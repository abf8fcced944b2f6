"""What of an isolated clip becomes a source: constructed clips with silence."""

import numpy as np
import pytest
from mixed_sounds import RATE_HZ, noise, silence

from pannsdist.run.mixing.recipe import TrimSettings
from pannsdist.run.mixing.trimming import Source, sources_in


def spans(*parts, gap_s=0.25, **rule):
    """(first, end) in seconds of each source of a clip made of parts."""
    found = sources_in(np.concatenate(parts), RATE_HZ, TrimSettings(hangover_s=0.0, **rule), gap_s)
    return [(source.first / RATE_HZ, source.end / RATE_HZ) for source in found]


def test_silence_before_and_behind_is_taken_off():
    assert spans(silence(0.5), noise(0.3), silence(0.7)) == [(0.5, 0.8)]


def test_a_sound_without_silence_is_one_source():
    assert spans(noise(0.5)) == [(0.0, 0.5)]


def test_two_barks_are_two_sources_or_one_as_the_gap_says():
    barks = noise(0.2), silence(0.3), noise(0.4, seed=1)
    assert spans(*barks, gap_s=0.25) == [(0.0, 0.2), (0.5, 0.9)]
    assert spans(*barks, gap_s=0.3) == [(0.0, 0.9)]


def test_what_is_far_below_the_loudest_frame_is_silent():
    parts = noise(0.3, level=0.1), noise(0.5, seed=1, level=0.0005)
    assert spans(*parts, below_peak_db=30.0) == [(0.0, 0.3)]
    assert spans(*parts, below_peak_db=60.0) == [(0.0, 0.8)]


def test_a_click_is_no_source_and_silence_has_none():
    assert spans(noise(0.02), silence(0.5), noise(0.3), shortest_s=0.05) == [(0.52, 0.82)]
    assert spans(silence(1.0)) == []
    assert spans(np.zeros(0, np.float32)) == []


def test_a_source_goes_on_for_the_hangover_but_not_into_the_next_one():
    clip = np.concatenate([noise(0.2), silence(0.3), noise(0.2, seed=1), silence(0.05)])
    found = sources_in(clip, RATE_HZ, TrimSettings(hangover_s=0.4), 0.25)
    assert [(source.first / RATE_HZ, source.end / RATE_HZ) for source in found] == [(0.0, 0.5), (0.5, 0.75)]


SOURCE = Source(((100, 200), (300, 400)), 410, 10)


@pytest.mark.parametrize(
    ("into", "samples", "cut"),
    [
        (0, 1000, (100, 410)),
        (0, 310, (100, 410)),
        (0, 100, (100, 200)),
        (0, 105, (100, 205)),
        (0, 150, (100, 210)),
        (50, 200, (150, 350)),
        (110, 150, (300, 410)),
        (1000, 60, (350, 410)),
        (1000, 5, (300, 305)),
    ],
    ids=str,
)
def test_a_cut_begins_and_ends_with_what_sounds(into, samples, cut):
    assert SOURCE.cut(into, samples) == cut
