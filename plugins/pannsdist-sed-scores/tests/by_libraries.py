"""The same scores by calls of the libraries, from tables that are made here: nothing of the plugin is used.

Labels are those of the clips, probabilities are float64, and events are decoded one frame after another.
"""

from __future__ import annotations

import math
import statistics
import warnings

import numpy as np
import pandas as pd

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import sed_eval
    from sed_scores_eval import collar_based, intersection_based, segment_based

HALF = 0.5
"""The threshold of tables that hold 1 for a frame that is detected, and 0."""


def clips_of(frames, length=1):
    """Of each clip its id, duration, reference events, united, and probabilities (T, C) after a median filter."""
    every = zip(frames.ids, frames.logits, frames.durations_s.tolist(), frames.events, strict=True)
    for name, logits, duration_s, events in every:
        count = max(1, min(len(logits), math.ceil(duration_s / frames.frame_s - 1e-6)))
        values = 1 / (1 + np.exp(-logits[:count].astype(np.float64)))
        yield name, round(duration_s, 6), united(events), smoothed(values, length)


def smoothed(values, length):
    """A median over `length` frames; beyond its ends the clip is mirrored again and again."""
    if length == 1:
        return values
    count, reach = len(values), length // 2
    mirrored = [*range(count), *range(count)[::-1]]
    rows = [
        [mirrored[place % (2 * count)] for place in range(frame - reach, frame + reach + 1)] for frame in range(count)
    ]
    return np.array([[statistics.median(column) for column in values[row].T] for row in rows])


def united(events):
    """Events in microseconds; two of one label that overlap or touch become one, until none do."""
    spans = [(round(event.onset_s, 6), round(event.offset_s, 6), event.label) for event in events]
    while pair := next(filter(_meet, ((one, other) for one in spans for other in spans if one is not other)), None):
        spans = [span for span in spans if span is not pair[0] and span is not pair[1]]
        spans.append((min(pair[0][0], pair[1][0]), max(pair[0][1], pair[1][1]), pair[0][2]))
    return sorted(spans)


def _meet(pair):
    one, other = pair
    return one[2] == other[2] and one[0] <= other[1] and other[0] <= one[1]


def decoded(values, duration_s, frame_s, labels, threshold):
    """The events of a clip, one frame after another."""
    found = []
    for column, label in enumerate(labels):
        onset_s = None
        for frame, value in enumerate([*values[:, column].tolist(), -1.0]):
            if value >= threshold and onset_s is None:
                onset_s = round(frame * frame_s, 6)
            if value < threshold and onset_s is not None:
                found.append((onset_s, min(round(frame * frame_s, 6), duration_s), label))
                onset_s = None
    return found


def as_dicts(name, events):
    keys = ("event_onset", "event_offset", "event_label")
    return [{"filename": f"{name}.wav", **dict(zip(keys, event, strict=True))} for event in events]


def by_sed_eval(frames, scorer, given, has_length=False):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, duration_s, reference, values in clips_of(frames, given["median"]):
            found = decoded(values, duration_s, frames.frame_s, frames.labels, given["threshold"])
            lengths = {"evaluated_length_seconds": duration_s} if has_length else {}
            scorer.evaluate(as_dicts(name, reference), as_dicts(name, found), **lengths)
        return scorer.results()


def event_f1(frames, given):
    scorer = sed_eval.sound_event.EventBasedMetrics(
        list(frames.labels),
        t_collar=given["collar_s"],
        percentage_of_length=given["offset_fraction"],
        empty_system_output_handling="zero_score",
    )
    return averaged_f1(by_sed_eval(frames, scorer, given), given)


def averaged_f1(results, given):
    return results["overall" if given["average"] == "micro" else "class_wise_average"]["f_measure"]["f_measure"]


def segments(frames, given):
    scorer = sed_eval.sound_event.SegmentBasedMetrics(list(frames.labels), time_resolution=given["segment_s"])
    scorer.empty_system_output_handling = "zero_score"
    return by_sed_eval(frames, scorer, given, has_length=True)


def segment_error_rate(frames, given):
    """The mean over labels is of those with a reference: that of `sed_eval` divides by 0 for the others."""
    results = segments(frames, given)
    if given["average"] == "micro":
        return results["overall"]["error_rate"]["error_rate"]
    of_labels = [results["class_wise"][label] for label in frames.labels]
    return np.mean([found["error_rate"]["error_rate"] for found in of_labels if found["count"]["Nref"]])


def tables(frames, median, change=lambda values: values):
    """Scores, references and durations for `sed_scores_eval`, and the labels that occur; it refuses the others.

    Columns of objects: pandas 3 hands out read-only arrays of float64, which the library refuses.
    """
    clips = list(clips_of(frames, median))
    labels = [label for label in frames.labels if any(label == event[2] for clip in clips for event in clip[2])]
    scores = {}
    for name, duration_s, _, values in clips:
        edges = [min(round(frame * frames.frame_s, 6), duration_s) for frame in range(len(values) + 1)]
        scores[name] = pd.DataFrame({"onset": edges[:-1], "offset": edges[1:]})
        for label in labels:
            column = change(values[:, frames.labels.index(label)]).astype(float)
            scores[name][label] = np.asarray(column, object)
    return scores, {clip[0]: clip[2] for clip in clips}, {clip[0]: clip[1] for clip in clips}, labels


def binary_tables(frames, given):
    return tables(frames, given["median"], lambda values: values >= given["threshold"])


def psds(frames, given):
    scores, references, durations, labels = tables(frames, given["median"])
    keys = ("dtc_threshold", "gtc_threshold", "cttc_threshold", "alpha_ct", "alpha_st")
    scenario = {key: given[key] for key in keys}
    if len(labels) == 1 or not scenario["alpha_ct"]:
        scenario.update(alpha_ct=0.0, cttc_threshold=None)
    return intersection_based.psds(scores, references, durations, max_efpr=given["e_max"], **scenario)[0]


def intersection_f1(frames, given):
    scores, references, *_ = binary_tables(frames, given)
    part = {key: given[key] for key in ("dtc_threshold", "gtc_threshold")}
    return intersection_based.fscore(scores, references, HALF, **part)[0][f"{given['average']}_average"]


def collar_f1(frames, given):
    """Event F1 by `sed_scores_eval`."""
    scores, references, *_ = binary_tables(frames, given)
    collars = {"onset_collar": given["collar_s"], "offset_collar": given["collar_s"]}
    found = collar_based.fscore(scores, references, HALF, offset_collar_rate=given["offset_fraction"], **collars)
    return found[0][f"{given['average']}_average"]


def segment_f1_of_scores(frames, given):
    """Segment F1 by `sed_scores_eval`."""
    scores, references, durations, _ = binary_tables(frames, given)
    found = segment_based.fscore(scores, references, durations, HALF, segment_length=given["segment_s"])
    return found[0][f"{given['average']}_average"]


def segment_mpauc(frames, given):
    """One call for each class; NaN without segments of both kinds in any class."""
    scores, references, durations, labels = tables(frames, given["median"])
    count = sum(math.ceil(duration_s / given["segment_s"]) for duration_s in durations.values())
    areas = []
    for label in labels:
        alone = {name: table[["onset", "offset", label]] for name, table in scores.items()}
        events = {name: [event for event in found if event[2] == label] for name, found in references.items()}
        if sum(len(active_segments(found, given["segment_s"])) for found in events.values()) < count:
            kind = {"segment_length": given["segment_s"], "max_fpr": given["max_fpr"]}
            areas.append(segment_based.auroc(alone, events, durations, **kind)[0][label])
    return float(np.mean(areas)) if areas else math.nan


def active_segments(events, segment_s):
    """The numbers of the segments that events touch."""
    spans = [(int(onset_s / segment_s), math.ceil(offset_s / segment_s)) for onset_s, offset_s, _ in events]
    return {number for first, behind in spans for number in range(first, behind)}


DIRECT = {
    "event_f1": event_f1,
    "intersection_f1": intersection_f1,
    "psds1": psds,
    "psds2": psds,
    "segment_error_rate": segment_error_rate,
    "segment_f1": lambda frames, given: averaged_f1(segments(frames, given), given),
    "segment_mpauc": segment_mpauc,
}
"""Each score, of predictions by frame with at least one reference event and of settings by name."""
