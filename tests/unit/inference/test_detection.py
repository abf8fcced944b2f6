"""From window scores to events."""

import weakref

import numpy as np
import pytest

from pannsdist.contracts.event_decoding import median_filtered
from pannsdist.inference import detection
from pannsdist.inference.detection import BLOCK_FRAMES, Event, Rule, WindowScores, events, smoothed
from pannsdist.runtime.errors import UserError


def timeline(*steps):
    return [WindowScores(onset, offset, np.array(output)) for onset, offset, output in steps]


def test_windows_that_touch_are_one_event_with_the_highest_score():
    scores = timeline((0.0, 1.0, [0.5]), (1.0, 2.0, [0.75]), (2.0, 3.0, [0.1]), (3.0, 4.0, [0.5]))
    assert events(scores, ["dog"], Rule(0.5)) == [Event(0.0, 2.0, "dog", 0.75), Event(3.0, 4.0, "dog", 0.5)]


def test_windows_that_overlap_are_one_event():
    scores = timeline((0.0, 1.0, [0.5]), (0.5, 1.5, [0.25]), (1.0, 2.0, [0.5]))
    assert events(scores, ["dog"], Rule(0.5)) == [Event(0.0, 2.0, "dog", 0.5)]


def test_labels_are_detected_side_by_side_by_onset_and_then_by_name():
    scores = timeline((0.0, 1.0, [0.75, 0.5, 0.0]), (1.0, 2.0, [0.0, 0.5, 1.0]))
    expected = [Event(0.0, 2.0, "cat", 0.5), Event(0.0, 1.0, "dog", 0.75), Event(1.0, 2.0, "rain", 1.0)]
    assert events(scores, ["dog", "cat", "rain"], Rule(0.5)) == expected


def test_below_the_threshold_nothing_is_detected():
    assert events(timeline((0.0, 1.0, [0.49])), ["dog"], Rule(0.5)) == []


def seconds(*probabilities):
    """A label's probability in each second."""
    return timeline(*((float(place), place + 1.0, [probability]) for place, probability in enumerate(probabilities)))


def spans(found):
    return [(event.onset_s, event.offset_s, event.score) for event in found]


def test_events_with_a_shorter_silence_between_them_are_one():
    scores = seconds(0.5, 0.0, 0.75, 0.0, 0.0, 0.5)
    assert spans(events(scores, ["dog"], Rule(0.5, min_gap_s=1.0))) == [(0, 1, 0.5), (2, 3, 0.75), (5, 6, 0.5)]
    assert spans(events(scores, ["dog"], Rule(0.5, min_gap_s=1.5))) == [(0, 3, 0.75), (5, 6, 0.5)]
    assert spans(events(scores, ["dog"], Rule(0.5, min_gap_s=2.5))) == [(0, 6, 0.75)]


def test_what_is_still_short_after_joining_is_dropped():
    scores = seconds(0.5, 0.0, 0.75, 0.0, 0.0, 0.5)
    assert spans(events(scores, ["dog"], Rule(0.5, min_duration_s=1.0))) == [(0, 1, 0.5), (2, 3, 0.75), (5, 6, 0.5)]
    assert events(scores, ["dog"], Rule(0.5, min_duration_s=1.5)) == []
    assert spans(events(scores, ["dog"], Rule(0.5, min_duration_s=1.5, min_gap_s=1.5))) == [(0, 3, 0.75)]


def test_a_silence_is_looked_for_in_each_label_by_itself():
    scores = timeline((0.0, 1.0, [0.5, 0.0]), (1.0, 2.0, [0.0, 0.5]), (2.0, 3.0, [0.5, 0.0]))
    expected = [Event(0.0, 3.0, "dog", 0.5), Event(1.0, 2.0, "cat", 0.5)]
    assert events(scores, ["dog", "cat"], Rule(0.5, min_gap_s=2.0)) == expected


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"threshold": 0.0}, "the threshold is 0\n"),
        ({"threshold": 1.5}, "the threshold is 1.5\n"),
        ({"threshold": float("nan")}, "the threshold is nan\n"),
        ({"min_gap_s": -1.0}, "min_gap_s is -1\n"),
        ({"min_duration_s": float("inf")}, "min_duration_s is inf\n"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(values, says):
    with pytest.raises(UserError) as caught:
        Rule(**values)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_a_probability_at_the_threshold_is_detected_and_the_next_lower_one_is_not(threshold):
    """In float32, in which networks compute: 0.7 there is below 0.7 in float64."""
    at = np.float32(threshold)
    rule = Rule(threshold)
    assert len(events(seconds(at), ["dog"], rule)) == 1
    assert len(events(seconds(np.nextafter(at, np.float32(0))), ["dog"], rule)) == 0
    assert rule.reached(float(at))


@pytest.mark.parametrize("block", [1, 7, 64])
def test_frames_are_smoothed_in_blocks_as_all_of_a_sound_together(block, monkeypatch):
    monkeypatch.setattr(detection, "BLOCK_FRAMES", block)
    chance = np.random.default_rng(block)
    for count in (0, 1, 2, 5, 63, 64, 65, 200):
        for lengths in ((1, 3, 9), (31, 1, 101)):
            outputs = chance.uniform(size=(count, 3)).astype(np.float32)
            frames = [WindowScores(0.1 * place, 0.1 * place + 0.1, row) for place, row in enumerate(outputs)]
            found = list(smoothed(iter(frames), lengths))
            assert [one.onset_s for one in found] == [one.onset_s for one in frames]
            if count:
                np.testing.assert_array_equal([one.output for one in found], median_filtered(outputs, lengths))


def test_a_label_that_flickers_is_one_event_after_its_median_filter():
    scores = seconds(0.9, 0.1, 0.8, 0.7, 0.1, 0.1)
    assert len(events(scores, ["dog"], Rule(0.5))) == 2
    (found,) = events(scores, ["dog"], Rule(0.5, median_frames=(3,)))
    assert (found.onset_s, found.offset_s) == (0.0, 4.0)


@pytest.mark.parametrize(("median_frames", "held"), [((), 2), ((1, 5, 9), BLOCK_FRAMES + 9)])
def test_few_windows_of_a_recording_are_held_at_a_time(median_frames, held):
    alive = weakref.WeakSet()

    def recording(windows=5 * BLOCK_FRAMES):
        for place in range(windows):
            scores = np.full(3, float(place % 100 < 50), np.float32).view(Held)
            alive.add(scores)
            assert len(alive) <= held, f"{len(alive)} windows are held"
            yield WindowScores(place * 0.08, (place + 1) * 0.08, scores)
            del scores

    found = events(recording(), ["dog", "cat", "rain"], Rule(0.5, median_frames=median_frames))
    assert len(found) == 3 * -(-5 * BLOCK_FRAMES // 100)


class Held(np.ndarray):
    """Probabilities that a weak set can hold."""

    __hash__ = object.__hash__
