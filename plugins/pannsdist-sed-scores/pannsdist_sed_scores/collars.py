"""Collar-based F1 of events, as in DCASE task 4, computed by `sed_eval`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pannsdist.contracts import param
from pannsdist.contracts.predictions import FramePredictions
from pannsdist_sed_scores.clips import DecodingParams, detections, event_dicts, names_of, references
from pannsdist_sed_scores.libraries import library
from pannsdist_sed_scores.metric import AVERAGES, EventMetric


@dataclass(frozen=True)
class EventF1Params(DecodingParams):
    """The section metrics.event_f1."""

    collar_s: float = param(0.2, "largest error of an onset, and of an offset", above=0.0, high=10.0)
    offset_fraction: float = param(0.2, "part of the length that an offset may err by if it is more", low=0.0, high=1.0)
    average: str = param("macro", "mean over the classes that occur, or over all events", choices=AVERAGES)


class EventF1(EventMetric):
    """F1 of events whose onset and offset are right to a collar; a class that is never detected has 0."""

    Params: ClassVar[type] = EventF1Params
    name = "event_f1"

    def score(self, frames: FramePredictions) -> float:
        """F1 by `sed_eval.sound_event.EventBasedMetrics`, with its optimal matching."""
        scorer = library("sed_eval").sound_event.EventBasedMetrics(
            event_label_list=list(names_of(frames).values()),
            t_collar=float(self.params.collar_s),
            percentage_of_length=float(self.params.offset_fraction),
            empty_system_output_handling="zero_score",
        )
        for reference, detected in zip(references(frames), detections(frames, self.params), strict=True):
            if reference or detected:
                scorer.evaluate(event_dicts(reference), event_dicts(detected))
        micro = self.params.average == "micro"
        scores = scorer.results_overall_metrics() if micro else scorer.results_class_wise_average_metrics()
        return float(scores["f_measure"]["f_measure"])
