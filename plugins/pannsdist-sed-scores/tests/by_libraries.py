"""The same scores by calls of the libraries, from tables that are made here: nothing of the plugin is used.

The labels are those of the clips, probabilities are float64, and events are decoded one frame after another.
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings

import numpy as np
import pandas as pd

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import sed_eval
    from sed_scores_eval import collar_based, intersection_based, segment_based

HALF = 0.5


def clips_of(frames):
    """Of each clip its id, frames that it has, duration, reference events (merged), and probabilities (T, C)."""
    for name, logits, duration_s, events in zip(
        frames.ids, frames.logits, frames.durations_s, frames.events, strict=True
    ):
        count = max(1, min(len(logits), math.ceil(duration_s / frames.frame_s - 1e-6)))
        values = 1 / (1 + np.exp(-logits[:count].astype(np.float64)))
        yield name, round(float(duration_s), 6), merged(events), values


def merged(events):
    """Reference events in microseconds, those of one label united as long as two of them meet."""
    spans = [(round(event.onset_s, 6), round(event.offset_s, 6), event.label) for event in events]
    changed = True
    while changed:
        changed = False
        for one in spans:
            for other in spans:
                if one is not other and one[2] == other[2] and one[0] <= other[1] and other[0] <= one[1]:
                    spans = [span for span in spans if span is not one and span is not other]
                    spans.append((min(one[0], other[0]), max(one[1], other[1]), one[2]))
                    changed = True
                    break
            if changed:
                break
    return sorted(spans)


def decoded(values, duration_s, frame_s, labels, threshold=HALF):
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


def evaluated(frames, scorer, threshold=HALF, **lengths):
    for name, duration_s, reference, values in clips_of(frames):
        found = decoded(values, duration_s, frames.frame_s, frames.labels, threshold)
        if lengths:
            lengths = {"evaluated_length_seconds": duration_s}
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            scorer.evaluate(as_dicts(name, reference), as_dicts(name, found), **lengths)
    return scorer


def events_scored(frames, average="class_wise_average", threshold=HALF):
    scorer = sed_eval.sound_event.EventBasedMetrics(
        list(frames.labels), t_collar=0.2, percentage_of_length=0.2, empty_system_output_handling="zero_score"
    )
    return results(evaluated(frames, scorer, threshold), average)["f_measure"]["f_measure"]


def segments_scored(frames, average, threshold=HALF):
    scorer = sed_eval.sound_event.SegmentBasedMetrics(list(frames.labels), time_resolution=1.0)
    scorer.empty_system_output_handling = "zero_score"
    return results(evaluated(frames, scorer, threshold, length=True), average)


def results(scorer, average):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return scorer.results()[average]


def tables(frames, change=lambda values: values):
    """Scores, references and durations for `sed_scores_eval`, of the labels that occur.

    Columns of objects: pandas 3 hands out read-only arrays of float64, which the library refuses.
    """
    clips = list(clips_of(frames))
    labels = [label for label in frames.labels if any(label in (event[2] for event in clip[2]) for clip in clips)]
    scores = {}
    for name, duration_s, _, values in clips:
        edges = [min(round(frame * frames.frame_s, 6), duration_s) for frame in range(len(values) + 1)]
        rows = {"onset": edges[:-1], "offset": edges[1:]}
        table = pd.DataFrame(rows)
        for label in labels:
            table[label] = np.asarray(change(values[:, frames.labels.index(label)]).astype(float), object)
        scores[name] = table
    return scores, {clip[0]: clip[2] for clip in clips}, {clip[0]: clip[1] for clip in clips}, labels


def binary(values):
    return values >= HALF


def psds(frames, **scenario):
    scores, references, durations, labels = tables(frames)
    if len(labels) == 1:
        scenario = {**scenario, "alpha_ct": 0.0, "cttc_threshold": None}
    return intersection_based.psds(scores, references, durations, alpha_st=1.0, max_efpr=100.0, **scenario)[0]


def psds1(frames):
    return psds(frames, dtc_threshold=0.7, gtc_threshold=0.7)


def psds2(frames):
    return psds(frames, dtc_threshold=0.1, gtc_threshold=0.1, cttc_threshold=0.3, alpha_ct=0.5)


def intersection_f1(frames, average="macro_average"):
    scores, references, _, _ = tables(frames, binary)
    return intersection_based.fscore(scores, references, HALF, dtc_threshold=0.5, gtc_threshold=0.5)[0][average]


def collar_f1(frames, average="macro_average"):
    """Event F1 by `sed_scores_eval`."""
    scores, references, _, _ = tables(frames, binary)
    collars = {"onset_collar": 0.2, "offset_collar": 0.2, "offset_collar_rate": 0.2}
    return collar_based.fscore(scores, references, HALF, **collars)[0][average]


def segment_f1_of_scores(frames, average="macro_average"):
    """Segment F1 by `sed_scores_eval`."""
    scores, references, durations, _ = tables(frames, binary)
    return segment_based.fscore(scores, references, durations, HALF, segment_length=1.0)[0][average]


def segment_mpauc(frames):
    """One call for each class; NaN without segments of both kinds in any class."""
    scores, references, durations, labels = tables(frames)
    areas = []
    for label in labels:
        alone = {name: table[["onset", "offset", label]] for name, table in scores.items()}
        events = {name: [event for event in found if event[2] == label] for name, found in references.items()}
        active = sum(_active_segments(events[name]) for name in events)
        if active < sum(math.ceil(duration_s) for duration_s in durations.values()):
            area, _ = segment_based.auroc(alone, events, durations, segment_length=1.0, max_fpr=0.1)
            areas.append(area[label])
    return float(np.mean(areas)) if areas else math.nan


def _active_segments(events):
    return len({number for onset_s, offset_s, _ in events for number in range(int(onset_s), math.ceil(offset_s))})


DIRECT = {
    "event_f1": events_scored,
    "intersection_f1": intersection_f1,
    "psds1": psds1,
    "psds2": psds2,
    "segment_error_rate": lambda frames: segments_scored(frames, "overall")["error_rate"]["error_rate"],
    "segment_f1": lambda frames: segments_scored(frames, "class_wise_average")["f_measure"]["f_measure"],
    "segment_mpauc": segment_mpauc,
}
"""Each score with its default settings, for predictions by frame with at least one reference event."""
