"""From probabilities by frame to events."""

import statistics

import numpy as np
import pytest

from pannsdist.contracts.event_decoding import decode, median_filtered, median_frames, reached


def listed(events):
    return list(
        zip(
            events.columns.tolist(),
            events.onsets_s.tolist(),
            events.offsets_s.tolist(),
            events.scores.tolist(),
            strict=True,
        )
    )


def columns(*values):
    return np.array(values, np.float64).T


def test_a_run_of_frames_that_reach_the_threshold_is_an_event_with_its_highest_probability():
    found = decode(columns([0.1, 0.5, 0.9, 0.2, 0.6]), 0.5, 0.2, 1.0)
    assert listed(found) == [(0, 0.2, 0.6, 0.9), (0, 0.8, 1.0, 0.6)]
    assert len(found) == 2


def test_events_are_sorted_by_onset_then_by_class():
    found = decode(columns([0, 0, 1], [1, 1, 0], [1, 0, 1]), 0.5, 1.0, 3.0)
    assert [event[:2] for event in listed(found)] == [(1, 0.0), (2, 0.0), (0, 2.0), (2, 2.0)]


def test_an_event_ends_with_its_clip():
    assert listed(decode(columns([1.0, 1.0, 1.0]), 0.5, 0.4, 1.1)) == [(0, 0.0, 1.1, 1.0)]


def test_without_a_frame_that_reaches_the_threshold_there_is_no_event():
    assert listed(decode(columns([0.4, 0.1], [0.0, 0.2]), 0.5, 0.1, 0.2)) == []


def test_each_class_may_have_its_own_threshold_and_median_filter():
    flicker = [0.9, 0.1, 0.9, 0.9, 0.6]
    found = decode(columns(flicker, flicker, flicker), [0.5, 0.5, 0.7], 1.0, 5.0, [1, 3, 1])
    assert [event[:3] for event in listed(found)] == [
        (0, 0.0, 1.0),
        (1, 0.0, 5.0),
        (2, 0.0, 1.0),
        (0, 2.0, 5.0),
        (2, 2.0, 4.0),
    ]


def test_times_are_whole_microseconds_so_that_fifty_frames_of_0_14_end_after_seven():
    assert 50 * 0.14 > 7
    assert decode(np.ones((50, 1)), 0.5, 0.14, 10.0).offsets_s.tolist() == [7.0]


def test_a_threshold_is_reached_in_float32_in_which_networks_compute():
    assert reached(np.float32(0.7), 0.7)
    assert reached(np.array([[0.7, 0.3]]), [0.7, 0.4]).tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("seconds", "frames"), [(0.0, 1), (0.1, 1), (0.19, 1), (0.2, 3), (0.3, 3), (0.39, 3), (0.4, 5), (0.7, 7)]
)
def test_a_median_filter_has_the_odd_number_of_frames_nearest_to_its_length(seconds, frames):
    assert median_frames(seconds, 0.1) == frames


def test_lengths_of_median_filters_may_differ_by_class():
    assert median_frames([0.0, 0.28, 0.12], 0.04).tolist() == [1, 7, 3]


def test_a_median_filter_mirrors_a_clip_beyond_its_ends_however_short_it_is():
    generator = np.random.default_rng(0)
    for _ in range(300):
        count, reach = int(generator.integers(1, 20)), int(generator.integers(0, 9))
        values = generator.normal(size=(count, 2)).astype(np.float32)
        mirrored = [*range(count), *range(count)[::-1]]
        windows = [
            [mirrored[place % (2 * count)] for place in range(frame - reach, frame + reach + 1)]
            for frame in range(count)
        ]
        expected = [[statistics.median(column) for column in values[window].T] for window in windows]
        assert np.array_equal(median_filtered(values, 2 * reach + 1), np.array(expected, np.float32))


def test_a_median_filter_leaves_its_input_alone():
    values = columns([1.0, 0.0, 1.0])
    values.setflags(write=False)
    assert median_filtered(values, 3).tolist() == [[1.0], [1.0], [1.0]]
    assert values.tolist() == [[1.0], [0.0], [1.0]]


@pytest.mark.parametrize("length", [0, 2, -1])
def test_an_even_length_of_a_median_filter_is_refused(length):
    with pytest.raises(ValueError, match="odd numbers"):
        median_filtered(columns([1.0, 0.0]), length)


def test_windows_of_detect_and_frames_give_the_same_events():
    from pannsdist.inference.detection import Rule, WindowScores, events

    generator = np.random.default_rng(1)
    for _ in range(100):
        values = np.round(generator.uniform(size=(12, 3)), 1).astype(np.float32)
        timeline = [WindowScores(frame * 0.25, frame * 0.25 + 0.25, row) for frame, row in enumerate(values)]
        windows = [(e.onset_s, e.offset_s, e.label, e.score) for e in events(timeline, "abc", Rule(0.7))]
        frames = [(on, off, "abc"[c], score) for c, on, off, score in listed(decode(values, 0.7, 0.25, 3.0))]
        assert frames == windows
