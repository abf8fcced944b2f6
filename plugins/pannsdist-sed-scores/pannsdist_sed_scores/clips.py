"""Predictions by frame in the forms that the libraries take.

Axes: N clips, T frames, C classes. The libraries get classes by number, so that no label can clash with a column.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pannsdist.contracts import Event, param
from pannsdist.contracts.event_decoding import DECIMALS, decode, median_filtered, median_frames
from pannsdist.contracts.predictions import FramePredictions

if TYPE_CHECKING:
    import pandas as pd

Found = tuple[float, float, str]
"""An event as onset and offset in seconds, and its class."""


@dataclass(frozen=True)
class SmoothingParams:
    """The setting of every score here."""

    median_filter_s: float = param(0.0, "length of the median filter over the frames; 0: none", low=0.0, high=60.0)


@dataclass(frozen=True)
class DecodingParams(SmoothingParams):
    """The settings of every score at one threshold."""

    threshold: float = param(0.5, "probability from which a class is detected", above=0.0, high=1.0)


def names_of(frames: FramePredictions) -> dict[str, str]:
    """The name of each class in the libraries by label, in the order of the labels."""
    return {label: f"class {number:05d}" for number, label in enumerate(frames.labels)}


def logits_of(frames: FramePredictions) -> Iterable[NDArray[np.floating]]:
    """The logits (T, C) of each clip without padding."""
    return (clip[:count] for clip, count in zip(frames.logits, frames.frames, strict=True))


def references(frames: FramePredictions) -> list[list[Found]]:
    """The reference events of each clip; those of one class that overlap or touch are one."""
    names = names_of(frames)
    return [_merged(events, names) for events in frames.events]


def _merged(events: Sequence[Event], names: Mapping[str, str]) -> list[Found]:
    spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for event in events:
        span = round(float(event.onset_s), DECIMALS), round(float(event.offset_s), DECIMALS)
        spans[names[event.label]].append(span)
    merged: list[Found] = []
    for name in sorted(spans):
        (onset_s, offset_s), *later = sorted(spans[name])
        for start_s, stop_s in later:
            if start_s > offset_s:
                merged.append((onset_s, offset_s, name))
                onset_s, offset_s = start_s, stop_s
            offset_s = max(offset_s, stop_s)
        merged.append((onset_s, offset_s, name))
    return merged


def detections(frames: FramePredictions, params: DecodingParams) -> list[list[Found]]:
    """The events that are detected in each clip."""
    from scipy.special import expit

    names, median = list(names_of(frames).values()), median_frames(params.median_filter_s, frames.frame_s)
    found = []
    for logits, duration_s in zip(logits_of(frames), frames.durations_s.tolist(), strict=True):
        probabilities = expit(logits.astype(np.float64))
        events = decode(probabilities, params.threshold, frames.frame_s, duration_s, median)
        times = zip(events.onsets_s.tolist(), events.offsets_s.tolist(), events.columns.tolist(), strict=True)
        found.append([(onset_s, offset_s, names[column]) for onset_s, offset_s, column in times])
    return found


def event_dicts(events: Iterable[Found]) -> list[dict[str, float | str]]:
    """Events as `sed_eval` takes them."""
    return [{"onset": onset_s, "offset": offset_s, "event_label": name} for onset_s, offset_s, name in events]


@dataclass(frozen=True)
class ScoreTables:
    """What `sed_scores_eval` takes, each by id: scores of the frames, reference events, durations in seconds.

    Of classes without a reference event there is nothing: the library refuses them.
    """

    scores: dict[str, pd.DataFrame]
    references: dict[str, list[Found]]
    durations_s: dict[str, float]

    @property
    def inputs(self) -> tuple[dict[str, pd.DataFrame], dict[str, list[Found]], dict[str, float]]:
        """In the order in which the library takes them."""
        return self.scores, self.references, self.durations_s

    @property
    def classes(self) -> set[str]:
        """The classes that have a reference event."""
        return {name for events in self.references.values() for _, _, name in events}


def score_tables(
    frames: FramePredictions, values: Iterable[NDArray[Any]], dtype: DTypeLike = np.float32
) -> ScoreTables:
    """Tables of `values` (T, C) for each clip: logits, probabilities, or whatever ranks the frames alike.

    `dtype` is float32 but for the functions that do not modify the scores in place: pandas 3 hands arrays over
    read-only, which the others of the library do not expect, and they copy float32.
    """
    found = references(frames)
    occurring = {name for events in found for _, _, name in events}
    columns = {name: column for column, name in enumerate(names_of(frames).values()) if name in occurring}
    ends_s = np.round(frames.durations_s, DECIMALS).tolist()
    tables = {}
    for name, scores, end_s in zip(frames.ids, values, ends_s, strict=True):
        chosen = {label: scores[:, column].astype(dtype) for label, column in columns.items()}
        tables[name] = _table(chosen, len(scores), frames.frame_s, end_s)
    return ScoreTables(tables, dict(zip(frames.ids, found, strict=True)), dict(zip(frames.ids, ends_s, strict=True)))


def _table(scores: Mapping[str, NDArray[Any]], count: int, frame_s: float, end_s: float) -> pd.DataFrame:
    """The times of the frames, and a column of scores for each class."""
    import pandas as pd

    times_s = np.minimum(np.round(np.arange(count + 1) * frame_s, DECIMALS), end_s)
    return pd.DataFrame({"onset": times_s[:-1], "offset": times_s[1:], **scores})


def smoothed_logits(frames: FramePredictions, median_filter_s: float) -> Iterable[NDArray[np.floating]]:
    """The logits (T, C) of each clip after the median filter."""
    median = median_frames(median_filter_s, frames.frame_s)
    return (median_filtered(logits, median) for logits in logits_of(frames))
