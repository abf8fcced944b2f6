"""What the scores do without events, with wrong settings and with bad numbers, and what they print and import."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pannsdist_sed_scores
import pytest
from sed_cases import METRICS, case, metric, predictions, settings

from pannsdist.contracts import Event, UserError
from pannsdist.contracts.predictions import FramePredictions
from pannsdist.registry import Catalog
from pannsdist.registry.building import build_plugin
from pannsdist.settings import SettingsOrigin

NAMES = sorted(METRICS)


def default(name):
    return METRICS[name](METRICS[name].Params())


def one_clip(logits, events, labels=("dog",), frame_s=0.1):
    values = np.asarray(logits, np.float32)[None]
    duration_s = np.array([values.shape[1] * frame_s])
    return predictions(FramePredictions(("clip",), values, frame_s, duration_s, (tuple(events),), labels))


@pytest.mark.parametrize("name", NAMES)
def test_without_a_reference_event_a_score_is_undefined(name):
    assert math.isnan(default(name)(one_clip(np.full((10, 1), 5.0), [])))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_with_a_logit_that_is_not_finite_a_score_is_undefined(name, value):
    logits = np.full((10, 1), 5.0)
    logits[3] = value
    assert math.isnan(default(name)(one_clip(logits, [Event(0.0, 1.0, "dog")])))


@pytest.mark.parametrize("name", NAMES)
def test_a_logit_of_the_padding_need_not_be_finite(name):
    frames = case(0).frames
    padded = replace(frames, logits=np.pad(frames.logits, ((0, 0), (0, 1), (0, 0)), constant_values=np.nan))
    score = metric(name, settings(name, 0, frames.frame_s))
    assert score(predictions(padded)) == score(predictions(frames))


@pytest.mark.parametrize("name", NAMES)
def test_a_run_without_predictions_by_frame_is_refused_by_the_name_of_the_metric(name):
    with pytest.raises(UserError) as refused:
        default(name)(replace(case(0), frames=None))
    assert f"metrics.{name} scores events" in str(refused.value)
    assert f"metrics.{name}=null" in str(refused.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_score_is_for_events_that_may_sound_at_once(name):
    score = default(name)
    assert score.needs_events
    assert score.applies(multi_label=True, classes=1)
    assert not score.applies(multi_label=False, classes=10)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_detected_perfectly_has_the_best_score(name):
    logits = np.full((40, 2), -5.0)
    logits[10:30, 0] = logits[0:20, 1] = 5.0
    given = one_clip(logits, [Event(1.0, 3.0, "dog"), Event(0.0, 2.0, "cat")], ("dog", "cat"))
    assert default(name)(given) == (0.0 if name == "segment_error_rate" else 1.0)


@pytest.mark.parametrize("name", NAMES)
def test_overlapping_and_touching_events_of_a_label_are_one(name):
    logits = np.full((40, 1), -5.0)
    logits[10:30] = 5.0
    parts = [Event(2.5, 3.0, "dog"), Event(1.0, 2.0, "dog"), Event(1.5, 2.5, "dog")]
    assert default(name)(one_clip(logits, parts)) == default(name)(one_clip(logits, [Event(1.0, 3.0, "dog")]))


@pytest.mark.parametrize("name", NAMES)
def test_labels_may_have_any_name(name):
    frames = case(4).frames
    renamed = dict(zip(frames.labels, ("offset", "mean", "a\\b", "\N{DOG}"), strict=False))
    events = tuple(tuple(replace(event, label=renamed[event.label]) for event in found) for found in frames.events)
    other = replace(frames, labels=tuple(renamed[label] for label in frames.labels), events=events)
    score = default(name)
    assert score(predictions(other)) == score(predictions(frames)) > 0


def test_a_median_filter_removes_what_is_shorter_than_half_of_it():
    logits = np.full((40, 1), -5.0)
    logits[10:30] = 5.0
    logits[20] = -5.0
    given = one_clip(logits, [Event(1.0, 3.0, "dog")])
    of = METRICS["event_f1"]
    assert [of(of.Params(median_filter_s=length))(given) for length in (0.0, 0.3)] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("event_f1", {"threshold": 0.0}),
        ("event_f1", {"threshold": 1.5}),
        ("event_f1", {"collar_s": 0.0}),
        ("event_f1", {"offset_fraction": -0.1}),
        ("event_f1", {"average": "weighted"}),
        ("event_f1", {"median_filter_s": -1.0}),
        ("intersection_f1", {"dtc_threshold": 1.1}),
        ("psds1", {"e_max": 0.0}),
        ("psds2", {"cttc_threshold": 2.0}),
        ("psds2", {"alpha_ct": -1.0}),
        ("segment_error_rate", {"segment_s": 0.0}),
        ("segment_mpauc", {"max_fpr": 0.0}),
        ("segment_mpauc", {"threshold": 0.5}),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(name, wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        build_plugin(Catalog.installed().metrics.find(name), wrong, SettingsOrigin(), f"metrics.{name}")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_printed_and_nothing_warns(name, capfd, recwarn):
    score = default(name)
    for seed in range(20):
        score(case(seed))
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_the_libraries_are_imported_when_a_score_is_computed():
    code = (
        "import sys, pannsdist_sed_scores as scores; scores.EventF1(scores.EventF1Params());"
        "heavy = ('pandas', 'sed_eval', 'sed_scores_eval', 'dcase_util', 'paddle');"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_score_is_offered():
    assert {name for name in pannsdist_sed_scores.__all__ if not name.endswith("Params")} == {
        plugin.__name__ for plugin in METRICS.values()
    }
