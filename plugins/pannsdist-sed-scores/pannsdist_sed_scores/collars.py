"""Collar-based F1 of events, as in DCASE task 4, computed by `sed_eval`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pannsdist.contracts import param
from pannsdist.contracts.predictions import Predictions
from pannsdist_sed_scores.clips import DecodingParams, Found, detections, frames_of, names_of, references
from pannsdist_sed_scores.libraries import library, quietly

AVERAGES = ("macro", "micro")


@dataclass(frozen=True)
class EventF1Params(DecodingParams):
    """The section metrics.event_f1."""

    collar_s: float = param(0.2, "largest error of an onset, and of an offset", above=0.0, high=10.0)
    offset_fraction: float = param(0.2, "part of the length that an offset may err by if it is more", low=0.0, high=1.0)
    average: str = param("macro", "mean over the classes that occur, or over all events", choices=AVERAGES)


class EventF1:
    """F1 of events whose onset and offset are right to a collar; a class that is never detected has 0."""

    contract = 1
    Params = EventF1Params
    higher_is_better = True
    needs_events = True

    def __init__(self, params: EventF1Params) -> None:
        self.params = params

    def applies(self, multi_label: bool, classes: int) -> bool:  # noqa: ARG002
        """Events of several classes may sound at once: multi-label tasks."""
        return multi_label

    def __call__(self, predictions: Predictions) -> float:
        """The score over all clips; NaN without a reference event. Raises UserError without predictions by frame."""
        frames = frames_of(predictions, "event_f1")
        if frames is None:
            return math.nan
        scorer = library("sed_eval").sound_event.EventBasedMetrics(
            event_label_list=list(names_of(frames).values()),
            t_collar=float(self.params.collar_s),
            percentage_of_length=float(self.params.offset_fraction),
            empty_system_output_handling="zero_score",
        )
        with quietly():
            for reference, detected in zip(references(frames), detections(frames, self.params), strict=True):
                if reference or detected:
                    scorer.evaluate(event_dicts(reference), event_dicts(detected))
            if self.params.average == "micro":
                return float(scorer.results_overall_metrics()["f_measure"]["f_measure"])
            return float(scorer.results_class_wise_average_metrics()["f_measure"]["f_measure"])


def event_dicts(events: list[Found]) -> list[dict[str, float | str]]:
    """Events as `sed_eval` takes them."""
    return [{"onset": onset_s, "offset": offset_s, "event_label": name} for onset_s, offset_s, name in events]
