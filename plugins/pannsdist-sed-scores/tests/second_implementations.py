"""PSDS by `psds_eval` 0.5.3 at given thresholds, and the area under a ROC by its definition."""

from __future__ import annotations

import contextlib
import itertools
import math
import unittest.mock
import warnings

import numpy as np
import pandas as pd
from by_libraries import HALF, active_segments, binary_tables, clips_of, decoded, segment_based

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import psds_eval

COLUMNS = ["filename", "onset", "offset", "event_label"]


@contextlib.contextmanager
def running_psds_eval():
    """Without its warnings, and with `DataFrame.fillna` as it was before pandas 3, with a method."""
    original = pd.DataFrame.fillna

    def filled(frame, value=None, method=None):
        return frame.ffill() if method == "ffill" else original(frame, value)

    with warnings.catch_warnings(), unittest.mock.patch.object(pd.DataFrame, "fillna", filled):
        warnings.simplefilter("ignore")
        yield


def psds_eval_of(frames, given):
    """An evaluation without operating points, and the labels that occur."""
    clips = list(clips_of(frames))
    events = [(name, *event) for name, _, reference, _ in clips for event in reference]
    labels = [label for label in frames.labels if any(label == event[3] for event in events)]
    evaluation = psds_eval.PSDSEval(
        given["dtc_threshold"],
        given["gtc_threshold"],
        given["cttc_threshold"],
        ground_truth=pd.DataFrame(events, columns=COLUMNS),
        metadata=pd.DataFrame([clip[:2] for clip in clips], columns=["filename", "duration"]),
        class_names=labels,
    )
    return evaluation, labels


def detected(frames, labels, threshold):
    """The table of what is detected of some labels."""
    rows = [
        (name, *event)
        for name, duration_s, _, values in clips_of(frames)
        for event in decoded(values, duration_s, frames.frame_s, frames.labels, threshold)
        if event[2] in labels
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


@running_psds_eval()
def psds_by_thresholds(frames, given, thresholds=None):
    """PSDS of the operating points of some thresholds; by default of each probability, which are all that differ.

    The area is computed here: the function of `psds_eval` fails with numpy 2.4.
    """
    evaluation, labels = psds_eval_of(frames, given)
    columns = [frames.labels.index(label) for label in labels]
    if thresholds is None:
        thresholds = sorted({value for *_, values in clips_of(frames) for value in values[:, columns].ravel().tolist()})
    for threshold in thresholds:
        evaluation.add_operating_point(detected(frames, labels, threshold))
    curve = evaluation._effective_tp_ratio(evaluation.psd_roc_curves(given["alpha_ct"])[2], given["alpha_st"])
    counted = curve.xp <= given["e_max"]
    edges = np.append(curve.xp[counted], given["e_max"])
    return float((np.diff(edges) * curve.yp[counted]).sum() / given["e_max"])


@running_psds_eval()
def intersection_f1_by_psds_eval(frames, given):
    evaluation, labels = psds_eval_of(frames, {**given, "cttc_threshold": 0.3})
    _, by_label = evaluation.compute_macro_f_score(detected(frames, labels, given["threshold"]))
    return float(np.mean([np.nan_to_num(score) for score in by_label.values()]))


def partial_area(positive, scores, max_fpr):
    """The area under the ROC of scores up to `max_fpr`, by that: one point for each distinct score."""
    points = [(0.0, 0.0)]
    for threshold in sorted(set(scores.tolist()), reverse=True):
        found = scores >= threshold
        points.append((float(np.mean(found[~positive])), float(np.mean(found[positive]))))
    area = 0.0
    for (left, low), (right, high) in itertools.pairwise(points):
        stop = min(right, max_fpr)
        if stop > left:
            area += (stop - left) * (low + (low + (high - low) * (stop - left) / (right - left))) / 2
    return area / max_fpr


def segment_error_rate_of_scores(frames, given):
    """The error rate by `sed_scores_eval`."""
    scores, references, durations, _ = binary_tables(frames, given)
    found = segment_based.error_rate(scores, references, durations, HALF, segment_length=given["segment_s"])
    return found[0][f"{given['average']}_average"]


def segments_of(frames, segment_s):
    """For each label, of all segments whether they have it, and their highest probability."""
    for column, label in enumerate(frames.labels):
        positive, scores = [], []
        for _, duration_s, reference, values in clips_of(frames):
            active = active_segments([event for event in reference if event[2] == label], segment_s)
            edges = [min(round(frame * frames.frame_s, 6), duration_s) for frame in range(len(values) + 1)]
            for number in range(math.ceil(duration_s / segment_s)):
                low_s, high_s = number * segment_s, (number + 1) * segment_s
                inside = [t for t in range(len(values)) if edges[t] < high_s and edges[t + 1] > low_s]
                positive.append(number in active)
                scores.append(values[inside, column].max())
        yield np.array(positive), np.array(scores)
