"""Thresholds and median filters of frames, fitted on reference events, and the events that they give."""

from itertools import permutations

import numpy as np
import pytest
from scipy.special import logit

from pannsdist.contracts import Event
from pannsdist.contracts.predictions import FramePredictions, Predictions
from pannsdist.run.calibration.event_counts import Counts, event_counts, matched, reference_spans, spans
from pannsdist.run.calibration.events import fit_frames
from pannsdist.run.calibration.fitting import Wish, fit, joined
from pannsdist.run.calibration.scores import event_scores
from pannsdist.run.calibration.summary import summary
from pannsdist.run.calibration.thresholds import Goal

FRAME_S, LABELS = 0.08, ("flickers", "quiet", "never")


def scenes(clips=40, seed=0, frames=125):
    """Clips with one event of each of two classes: one network output flickers, the other is never sure."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(-4.0, 0.3, (clips, frames, 3))
    events = []
    for clip in range(clips):
        own = []
        for column, level in enumerate((3.0, -2.0)):
            first, length = int(chance.integers(5, 60)), int(chance.integers(20, 50))
            logits[clip, first : first + length, column] += level + 4.0
            own.append(Event(first * FRAME_S, (first + length) * FRAME_S, LABELS[column]))
        flickering = chance.uniform(size=frames) < 0.08
        logits[clip, flickering, 0] = -logits[clip, flickering, 0]
        events.append(tuple(own))
    names = tuple(f"{clip:03d}" for clip in range(clips))
    return FramePredictions(names, logits.astype(np.float32), FRAME_S, np.full(clips, 10.0), tuple(events), LABELS)


def predictions(frames):
    top = frames.logits.max(axis=1)
    truth = np.array([[any(one.label == label for one in events) for label in LABELS] for events in frames.events])
    return Predictions(frames.ids, top, truth.astype(np.float32), LABELS, True, frames=frames)


def test_a_class_that_flickers_gets_a_median_filter_and_one_that_is_never_sure_a_low_threshold():
    thresholds, median_s = fit_frames(scenes(), 1.0, Goal())
    assert median_s[0] >= 0.4
    assert thresholds[1] < 0.3
    other = scenes(seed=1)  # clips that were not fitted on
    plain = event_counts(other, 1.0, [0.5] * 3, [0.0] * 3)
    fitted = event_counts(other, 1.0, thresholds, median_s)
    assert [one.f1 for one in plain[:2]] == [pytest.approx(0.0, abs=0.2), 0.0]
    assert all(one.f1 > 0.9 for one in fitted[:2])
    assert fitted[2] == Counts()


def test_the_thresholds_follow_the_temperature():
    frames = scenes()
    (plain, _), (soft, _) = (fit_frames(frames, temperature, Goal()) for temperature in (1.0, 2.0))
    assert logit(soft[1]) == pytest.approx(logit(plain[1]) / 2, abs=0.3)


@pytest.mark.parametrize("name", ["precision", "recall"])
def test_a_goal_is_reached_by_the_events(name):
    frames = scenes()
    counts = event_counts(frames, 1.0, *fit_frames(frames, 1.0, Goal(name, 0.9)))
    assert all(getattr(one, name) >= 0.9 for one in counts[:2])


def test_nothing_is_fitted_where_no_clip_has_events_or_the_network_failed():
    frames = scenes(4)
    silent = FramePredictions(frames.ids, frames.logits, FRAME_S, frames.durations_s, ((),) * 4, LABELS)
    broken = FramePredictions(
        frames.ids, np.full_like(frames.logits, np.nan), FRAME_S, frames.durations_s, frames.events, LABELS
    )
    for one in (None, silent, broken):
        assert fit_frames(one, 1.0, Goal()) == ([], [])
    found = fit(predictions(silent), Wish(), "valid")
    assert found.frame_thresholds == () and "no clip has events with times" in summary(found, predictions(silent))
    assert event_scores(found, predictions(silent)) == {}


def test_the_frames_of_several_networks_are_fitted_together():
    parts = [predictions(scenes(20, seed)) for seed in (0, 1)]
    longer = predictions(scenes(20, 2, frames=150))
    assert joined([*parts, longer]).frames.logits.shape == (60, 150, 3)
    found = fit(joined(parts), Wish(), "folds")
    assert len(found.frame_thresholds) == 3
    assert event_scores(found, predictions(scenes(20, 3)))["event_f1"] > 0.9
    assert "threshold and median filter" in summary(found, parts[0])


def most_pairs(reference, detected):
    """By trying every assignment."""

    def fits(one, other):
        collar_s = max(0.2, 0.2 * (one[2] - one[1])) + 5e-7
        same = one[0] == other[0]
        return same and abs(one[1] - other[1]) <= 0.2 + 5e-7 and abs(one[2] - other[2]) <= collar_s

    few, many = sorted((reference, detected), key=len)
    turned = few is not reference
    orders = permutations(many, len(few))
    pairs = (zip(few, order, strict=True) for order in orders)
    return max(sum(fits(*(pair[::-1] if turned else pair)) for pair in order) for order in pairs)


def test_as_many_events_match_as_any_assignment_allows():
    chance = np.random.default_rng(0)
    found = []
    for _ in range(300):
        sides = []
        for _ in range(2):
            onsets_s = np.round(chance.choice(np.arange(0.0, 1.2, 0.1), int(chance.integers(1, 5))), 6)
            rows = [(int(chance.integers(0, 2)), on, round(on + float(chance.uniform(0.1, 2.5)), 6)) for on in onsets_s]
            sides.append([(clip, float(onset_s), float(offset_s)) for clip, onset_s, offset_s in rows])
        found.append(matched(spans(sides[0]), spans(sides[1])))
        assert found[-1] == most_pairs(*sides), sides
    assert {0, 1, 2} <= set(found)


def test_reference_events_that_touch_are_one():
    frames = FramePredictions(
        ("a", "b"),
        np.zeros((2, 4, 1), np.float32),
        0.5,
        np.full(2, 2.0),
        ((Event(1.0, 2.0, "x"), Event(0.0, 1.0, "x")), (Event(0.0, 0.5, "x"), Event(1.0, 1.5, "x"))),
        ("x",),
    )
    (found,) = reference_spans(frames)
    assert [*zip(found.clips.tolist(), found.onsets_s.tolist(), found.offsets_s.tolist(), strict=True)] == [
        (0, 0.0, 2.0),
        (1, 0.0, 0.5),
        (1, 1.0, 1.5),
    ]
