"""Which label is heard from when to when."""

import numpy as np

from pannsdist.inference.detection import Event, Moment, Rule, events


def timeline(*steps):
    return [Moment(onset, offset, np.array(answer)) for onset, offset, answer in steps]


def test_moments_that_touch_are_one_event_with_the_highest_score():
    heard = timeline((0.0, 1.0, [0.5]), (1.0, 2.0, [0.75]), (2.0, 3.0, [0.1]), (3.0, 4.0, [0.5]))
    assert events(heard, ["dog"], Rule(0.5)) == [Event(0.0, 2.0, "dog", 0.75), Event(3.0, 4.0, "dog", 0.5)]


def test_moments_that_overlap_are_one_event():
    heard = timeline((0.0, 1.0, [0.5]), (0.5, 1.5, [0.25]), (1.0, 2.0, [0.5]))
    assert events(heard, ["dog"], Rule(0.5)) == [Event(0.0, 2.0, "dog", 0.5)]


def test_labels_are_heard_side_by_side_by_onset_and_then_by_name():
    heard = timeline((0.0, 1.0, [0.75, 0.5, 0.0]), (1.0, 2.0, [0.0, 0.5, 1.0]))
    expected = [Event(0.0, 2.0, "cat", 0.5), Event(0.0, 1.0, "dog", 0.75), Event(1.0, 2.0, "rain", 1.0)]
    assert events(heard, ["dog", "cat", "rain"], Rule(0.5)) == expected


def test_below_the_threshold_nothing_is_heard():
    assert events(timeline((0.0, 1.0, [0.49])), ["dog"], Rule(0.5)) == []
