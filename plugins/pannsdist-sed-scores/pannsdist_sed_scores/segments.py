"""Scores of segments of one second: F1 and error rate by `sed_eval`, partial area under the ROC by `sed_scores_eval`.

A class is active in a segment of which an event of it covers any part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit

from pannsdist.contracts import param
from pannsdist.contracts.event_decoding import DECIMALS
from pannsdist.contracts.predictions import FramePredictions
from pannsdist_sed_scores.clips import (
    DecodingParams,
    SmoothingParams,
    detections,
    event_dicts,
    names_of,
    references,
    score_tables,
    smoothed_logits,
)
from pannsdist_sed_scores.libraries import library
from pannsdist_sed_scores.metric import AVERAGES, EventMetric


@dataclass(frozen=True)
class SegmentF1Params(DecodingParams):
    """The section metrics.segment_f1."""

    segment_s: float = param(1.0, "length of a segment", above=0.0, high=600.0)
    average: str = param("macro", "mean over the classes that occur, or over all segments", choices=AVERAGES)


@dataclass(frozen=True)
class SegmentErrorRateParams(SegmentF1Params):
    """The section metrics.segment_error_rate."""

    average: str = param("micro", "over all segments, or mean over the classes that occur", choices=AVERAGES)


@dataclass(frozen=True)
class SegmentMpaucParams(SmoothingParams):
    """The section metrics.segment_mpauc."""

    segment_s: float = param(1.0, "length of a segment", above=0.0, high=600.0)
    max_fpr: float = param(0.1, "rate of false positives up to which the curve counts", above=0.0, high=1.0)


class SegmentF1(EventMetric):
    """F1 of the classes that are active in a segment; a class that is never detected has 0."""

    Params: ClassVar[type] = SegmentF1Params
    name = "segment_f1"

    def score(self, frames: FramePredictions) -> float:
        """F1 by `sed_eval.sound_event.SegmentBasedMetrics`."""
        scorer, micro = _evaluated(frames, self.params), self.params.average == "micro"
        scores = scorer.results_overall_metrics() if micro else scorer.results_class_wise_average_metrics()
        return float(scores["f_measure"]["f_measure"])


class SegmentErrorRate(EventMetric):
    """Substitutions, deletions and insertions by the number of active classes in all segments; may exceed 1.

    The mean over classes has no substitutions: what is detected as another class is a deletion and an insertion.
    """

    Params: ClassVar[type] = SegmentErrorRateParams
    higher_is_better = False
    name = "segment_error_rate"

    def score(self, frames: FramePredictions) -> float:
        """The error rate by `sed_eval.sound_event.SegmentBasedMetrics`.

        Its own mean over classes divides by 0 for a class without a reference: the mean is taken here, of the others.
        """
        scorer = _evaluated(frames, self.params)
        if self.params.average == "micro":
            return float(scorer.overall_error_rate()["error_rate"])
        occurring = [name for name in names_of(frames).values() if scorer.class_wise_count(name)["Nref"]]
        return float(np.mean([scorer.class_wise_error_rate(name)["error_rate"] for name in occurring]))


class SegmentMpauc(EventMetric):
    """Mean over classes of the area under the ROC of segments up to a rate of false positives, as in DCASE 2024 task 4.

    It is divided by that rate: 1 is best. Classes that are active in all segments, or in none, have no ROC.
    """

    Params: ClassVar[type] = SegmentMpaucParams
    name = "segment_mpauc"

    def score(self, frames: FramePredictions) -> float:
        """The area by `sed_scores_eval`: what its `segment_based.auroc` does, but for classes without a ROC."""
        scores = (expit(logits.astype(np.float64)) for logits in smoothed_logits(frames, self.params.median_filter_s))
        tables = score_tables(frames, scores, np.float64)
        counts, _ = library("sed_scores_eval").segment_based.accumulated_intermediate_statistics(
            *tables.inputs, segment_length=self.params.segment_s, time_decimals=DECIMALS
        )
        curved = {name: found for name, found in counts.items() if _has_both(found[1])}
        if not curved:
            return math.nan
        area = library("sed_scores_eval.base_modules.roc").auroc_from_intermediate_statistics
        areas, _ = area(curved, max_fpr=self.params.max_fpr if self.params.max_fpr < 1 else None)
        return float(areas["mean"])


def _has_both(counts: dict[str, Any]) -> bool:
    """Whether some segment has the class, and another does not."""
    return bool(counts["n_ref"] > 0 and (counts["tns"] + counts["fps"])[0] > 0)


def _evaluated(frames: FramePredictions, params: SegmentF1Params) -> Any:
    """The evaluation of `sed_eval`, of all clips."""
    scorer = library("sed_eval").sound_event.SegmentBasedMetrics(
        event_label_list=list(names_of(frames).values()), time_resolution=float(params.segment_s)
    )
    scorer.empty_system_output_handling = "zero_score"  # an argument of EventBasedMetrics only, read by both
    ends_s = np.round(frames.durations_s, DECIMALS).tolist()
    for reference, detected, end_s in zip(references(frames), detections(frames, params), ends_s, strict=True):
        if reference or detected:
            scorer.evaluate(event_dicts(reference), event_dicts(detected), evaluated_length_seconds=end_s)
    return scorer
