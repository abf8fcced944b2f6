"""What is drawn for a soundscape: places, overlaps, parts of sources, and that it depends on nothing but its number."""

import json
from pathlib import Path

import numpy as np
import pytest
from mixed_sounds import RATE_HZ, RECIPE, clip_of, noise

from pannsdist.run.mixing.plan import plan
from pannsdist.run.mixing.recipe import load_recipe
from pannsdist.run.mixing.sources import SourceClip, SplitSources
from pannsdist.run.mixing.trimming import Source

CLIP = clip_of(noise(5.0))


def sources(*lengths_s, labels=("cat", "dog")):
    whole = [Source(((100, 100 + round(length * RATE_HZ)),), 100 + round(length * RATE_HZ), 0) for length in lengths_s]
    return SplitSources({label: [SourceClip(CLIP, label, tuple(whole))] for label in labels})


@pytest.fixture
def planned(tmp_path):
    def plans(of, how_many=200, lasts_s=2.0, **events):
        path = Path(tmp_path / "r.yaml")
        path.write_text(json.dumps(RECIPE | {"duration_s": lasts_s, "events": events}), encoding="utf-8")
        checked = load_recipe(path)
        return [plan(checked, of, "train", number) for number in range(how_many)]

    return plans


def test_a_plan_depends_on_seed_split_and_number_only(planned):
    once, again = planned(sources(0.5), 20), planned(sources(0.5), 40)
    assert once == again[:20]
    assert len({one.events for one in again}) == 40


def test_every_event_lies_in_its_soundscape_and_in_its_source(planned):
    for one in planned(sources(0.3, 1.4), count=["uniform", 1, 4]):
        for event in one.events:
            assert 0 <= event.onset < event.offset <= 2 * RATE_HZ
            assert 100 <= event.source_first < event.source_first + event.samples <= 100 + round(1.4 * RATE_HZ)
        assert list(one.events) == sorted(one.events, key=lambda event: event.onset)


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_events_than_allowed_sound_at_once_and_those_of_one_label_stay_apart(planned, most):
    crowded = planned(sources(0.6, labels=("a", "b", "c")), count=["const", 6], most_at_once=most, label_gap_s=0.1)
    for one in crowded:
        sounding = np.zeros(2 * RATE_HZ, int)
        for event in one.events:
            sounding[event.onset : event.offset] += 1
            alike = [other for other in one.events if other is not event and other.label == event.label]
            assert all(other.onset >= event.offset + 800 or event.onset >= other.offset + 800 for other in alike)
        assert sounding.max() <= most
        assert len(one.events) + one.without_place == 6
    assert any(one.without_place for one in crowded)


def test_durations_onsets_and_levels_are_those_of_the_recipe(planned):
    given = {"onset_s": ["uniform", 0.5, 1.0], "duration_s": ["uniform", 0.2, 0.4], "snr_db": ["uniform", -3, 3]}
    events = [event for one in planned(sources(1.5), count=["const", 1], **given) for event in one.events]
    assert len(events) == 200
    onsets, lengths = ([getattr(event, name) / RATE_HZ for event in events] for name in ("onset", "samples"))
    assert min(onsets) >= 0.5 and max(onsets) <= 1.0 and max(onsets) - min(onsets) > 0.4
    assert min(lengths) >= 0.2 - 1e-4 and max(lengths) <= 0.4 + 1e-4 and max(lengths) - min(lengths) > 0.15
    assert all(-3 <= event.snr_db <= 3 for event in events)


def test_an_onset_that_never_fits_is_moved_to_before_the_end_as_scaper_does(planned):
    (one,) = planned(sources(1.5), count=["const", 1], onset_s=["const", 1.9], duration_s=["const", 1.5])[:1]
    assert (one.events[0].onset, one.events[0].offset) == (4000, 16000)


def test_the_source_time_chooses_the_part_of_the_source(planned):
    given = {"duration_s": ["const", 0.5], "source_time_s": ["const", 0.25]}
    (one,) = planned(sources(1.0), count=["const", 1], **given)[:1]
    assert (one.events[0].source_first, one.events[0].samples) == (100 + 2000, 4000)
    given["source_time_s"] = ["const", 3.0]
    (one,) = planned(sources(1.0), count=["const", 1], **given)[:1]
    assert (one.events[0].source_first, one.events[0].samples) == (100 + 4000, 4000)


def test_labels_and_counts_are_drawn_alike(planned):
    found = planned(sources(0.2), 400, 10.0, count=["choose", [0, 2]])
    assert {len(one.events) for one in found} == {0, 2}
    labels = [event.label for one in found for event in one.events]
    assert 0.4 < labels.count("cat") / len(labels) < 0.6
