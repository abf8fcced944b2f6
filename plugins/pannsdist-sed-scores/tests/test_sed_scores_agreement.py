"""Each score against a second implementation, and an example of each known difference between the libraries."""

from __future__ import annotations

import math

import by_libraries
import numpy as np
import pytest
from second_implementations import (
    intersection_f1_by_psds_eval,
    partial_area,
    psds_by_thresholds,
    segment_error_rate_of_scores,
    segments_of,
)
from sed_cases import case, metric, predictions, settings

from pannsdist.contracts import Event
from pannsdist.contracts.predictions import FramePredictions
from pannsdist.run.calibration.event_counts import event_counts

OFF_GRID_S = 0.2037
"""A collar that no distance between two edges of frames has, so that rounding does not matter."""


def cases(count, few=False):
    """The first cases with a reference event; if `few`, with logits of a few levels and events of two labels."""
    seed = 0
    while count:
        frames = case(seed).frames
        labels = {event.label for events in frames.events for event in events}
        if few:
            levels = np.clip(np.round(frames.logits / 2) * 2, -2, 4).astype(np.float32)
            frames = FramePredictions(
                frames.ids, levels, frames.frame_s, frames.durations_s, frames.events, frames.labels
            )
        if labels and not (few and len(labels) < 2):
            count -= 1
            yield frames
        seed += 1


def given_to(name, **changed):
    """The defaults of a score with some changes."""
    return {**settings(name, 2, 1.0), "median": 1, "median_filter_s": 0.0, **changed}


def score(name, frames, **changed):
    return metric(name, given_to(name, **changed))(predictions(frames))


def one_clip(frame_s, active, references, labels="ab"):
    """A clip whose classes are active in some frames, as text of a row of 0 and 1 for each label."""
    logits = np.array([[4.0 if frame == "1" else -4.0 for frame in row] for row in active], np.float32).T
    events = tuple(Event(*reference) for reference in references)
    return FramePredictions(
        ("clip",), logits[None], frame_s, np.array([len(logits) * frame_s]), (events,), tuple(labels)
    )


def agrees(found, other):
    return found == pytest.approx(other, rel=0, abs=1e-9, nan_ok=True)


def test_event_f1_of_sed_eval_is_that_of_sed_scores_eval():
    for frames in cases(200):
        given = given_to("event_f1", collar_s=OFF_GRID_S, average="macro")
        assert agrees(score("event_f1", frames, **given), by_libraries.collar_f1(frames, given)), frames.ids


def test_the_f1_that_calibration_maximises_is_that_of_sed_scores_eval():
    for number, frames in enumerate(cases(200)):
        given = given_to("event_f1", average="macro", threshold=(0.2, 0.5, 0.7)[number % 3])
        classes = len(frames.labels)
        counts = event_counts(frames, 1.0, [given["threshold"]] * classes, [0.0] * classes)
        found = np.mean([one.f1 for one in counts if one.references])
        assert agrees(found, by_libraries.collar_f1(frames, given)), frames.ids


def test_segment_f1_of_sed_eval_is_that_of_sed_scores_eval():
    for frames in cases(200):
        assert agrees(score("segment_f1", frames), by_libraries.segment_f1_of_scores(frames, given_to("segment_f1"))), (
            frames.ids
        )


def test_the_mean_error_rate_of_classes_is_that_of_sed_scores_eval():
    for frames in cases(200):
        given = given_to("segment_error_rate", average="macro")
        assert agrees(score("segment_error_rate", frames, **given), segment_error_rate_of_scores(frames, given))


def test_segment_mpauc_is_the_area_by_its_definition():
    for frames in cases(200):
        areas = [
            partial_area(positive, scores, 0.1)
            for positive, scores in segments_of(frames, 1.0)
            if positive.any() and not positive.all()
        ]
        assert agrees(score("segment_mpauc", frames), np.mean(areas) if areas else math.nan)


@pytest.mark.parametrize("name", ["psds1", "psds2"])
@pytest.mark.parametrize("e_max", [100.0, 3e3, 3e4])
def test_psds_is_that_of_psds_eval_at_every_threshold(name, e_max):
    for frames in cases(12, few=True):
        given = given_to(name, e_max=e_max)
        given.update(dtc_threshold=given["dtc_threshold"] + 0.0037, gtc_threshold=given["gtc_threshold"] + 0.0037)
        assert agrees(score(name, frames, **given), psds_by_thresholds(frames, given))


def test_intersection_f1_is_that_of_psds_eval():
    for frames in cases(40):
        given = given_to("intersection_f1", dtc_threshold=0.5037, gtc_threshold=0.5037)
        assert agrees(score("intersection_f1", frames, **given), intersection_f1_by_psds_eval(frames, given))


# Known differences, in the order of docs/decisions/0049-event-scores.md.


def test_sed_eval_does_not_round_a_distance_that_is_the_collar():
    frames = one_clip(0.2, ["00001111"], [(0.6, 1.6, "a")], "a")
    assert abs(0.8 - 0.6) > 0.2
    given = given_to("event_f1")
    assert (score("event_f1", frames), by_libraries.collar_f1(frames, given)) == (0.0, 1.0)


def test_the_micro_average_of_sed_eval_counts_detections_of_labels_without_a_reference():
    frames = one_clip(1.0, ["1100", "0011"], [(0.0, 2.0, "a")])
    given = given_to("event_f1", average="micro")
    assert agrees(score("event_f1", frames, **given), 2 / 3)
    assert by_libraries.collar_f1(frames, given) == 1.0


def test_a_label_that_is_never_detected_has_an_f1_of_0_and_is_not_left_out():
    frames = one_clip(1.0, ["1100", "0000"], [(0.0, 2.0, "a"), (2.0, 4.0, "b")])
    assert [score(name, frames) for name in ("event_f1", "segment_f1", "intersection_f1")] == [0.5] * 3


def test_only_the_error_rate_over_all_classes_counts_a_confusion_once():
    frames = one_clip(1.0, ["0000", "1111"], [(0.0, 4.0, "a")])
    assert score("segment_error_rate", frames, average="micro") == 1.0
    frames = one_clip(1.0, ["0011", "1100"], [(0.0, 2.0, "a"), (2.0, 4.0, "b")])
    assert [score("segment_error_rate", frames, average=average) for average in ("micro", "macro")] == [1.0, 2.0]


def test_an_error_rate_of_a_label_without_a_reference_is_left_out_of_the_mean():
    frames = one_clip(1.0, ["1100", "0011"], [(0.0, 2.0, "a")])
    given = given_to("segment_error_rate", average="macro")
    assert score("segment_error_rate", frames, **given) == 0.0
    assert by_libraries.segments(frames, given)["class_wise_average"]["error_rate"]["error_rate"] > 1e15


def test_psds_eval_sees_only_the_thresholds_that_it_is_given():
    frames = one_clip(1.0, ["1100", "0011"], [(0.0, 2.0, "a"), (2.0, 4.0, "b")])
    frames.logits[0, :, 1] -= 3.0  # detected from a probability of 0.73 on
    given = given_to("psds1")
    assert (psds_by_thresholds(frames, given), psds_by_thresholds(frames, given, [0.8])) == (1.0, 0.0)
    assert score("psds1", frames) == 1.0


def test_psds_eval_does_not_round_an_intersection_that_is_the_threshold():
    frames = one_clip(0.1, ["0" * 13 + "1" * 10, "1" * 10 + "0" * 13], [(1.6, 2.3, "a"), (0.0, 1.0, "b")])
    assert (2.3 - 1.6) / (2.3 - 1.3) < 0.7
    given = given_to("psds1", alpha_st=0.0)
    assert (score("psds1", frames, alpha_st=0.0), psds_by_thresholds(frames, given)) == (1.0, 0.5)


def test_psds_of_one_label_has_no_cross_triggers_and_is_undefined_in_psds_eval():
    frames = one_clip(1.0, ["1100"], [(0.0, 2.0, "a")], "a")
    assert (score("psds2", frames), psds_by_thresholds(frames, given_to("psds2"))) == (1.0, 0.0)
