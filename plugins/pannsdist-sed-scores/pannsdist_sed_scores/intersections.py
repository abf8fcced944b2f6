"""Intersection-based scores, by `sed_scores_eval`: F1 at one threshold, and PSDS over all thresholds.

Source: C. Bilen, G. Ferroni, F. Tuveri, J. Azcarreta, S. Krstulovic, "A Framework for the Robust Evaluation of Sound
Event Detection", ICASSP 2020; the two scenarios of PSDS are those of DCASE task 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit

from pannsdist.contracts import param
from pannsdist.contracts.event_decoding import DECIMALS, median_filtered, median_frames, reached
from pannsdist.contracts.predictions import FramePredictions
from pannsdist_sed_scores.clips import DecodingParams, SmoothingParams, logits_of, score_tables, smoothed_logits
from pannsdist_sed_scores.libraries import library
from pannsdist_sed_scores.metric import AVERAGES, EventMetric


@dataclass(frozen=True)
class IntersectionF1Params(DecodingParams):
    """The section metrics.intersection_f1."""

    dtc_threshold: float = param(0.5, "part of a detection that must lie in reference events", low=0.0, high=1.0)
    gtc_threshold: float = param(0.5, "part of a reference event that must be detected", low=0.0, high=1.0)
    average: str = param("macro", "mean over the classes that occur, or over all their events", choices=AVERAGES)


@dataclass(frozen=True)
class Psds1Params(SmoothingParams):
    """The section metrics.psds1: scenario 1, which asks for exact times."""

    dtc_threshold: float = param(0.7, "part of a detection that must lie in reference events", low=0.0, high=1.0)
    gtc_threshold: float = param(0.7, "part of a reference event that must be detected", low=0.0, high=1.0)
    cttc_threshold: float = param(0.3, "part of a false detection in another class, if alpha_ct > 0", low=0.0, high=1.0)
    alpha_ct: float = param(0.0, "weight of detections in events of another class", low=0.0, high=100.0)
    alpha_st: float = param(1.0, "weight of the deviation between classes", low=0.0, high=100.0)
    e_max: float = param(100.0, "false positives in an hour up to which the curve counts", above=0.0, high=1e6)


@dataclass(frozen=True)
class Psds2Params(Psds1Params):
    """The section metrics.psds2: scenario 2, which asks for the right class."""

    dtc_threshold: float = param(0.1, "part of a detection that must lie in reference events", low=0.0, high=1.0)
    gtc_threshold: float = param(0.1, "part of a reference event that must be detected", low=0.0, high=1.0)
    alpha_ct: float = param(0.5, "weight of detections in events of another class", low=0.0, high=100.0)


class IntersectionF1(EventMetric):
    """F1 of events that are covered: of a detection a part in reference events, of these a part in such detections."""

    Params: ClassVar[type] = IntersectionF1Params
    name = "intersection_f1"

    def score(self, frames: FramePredictions) -> float:
        """F1 by `sed_scores_eval.intersection_based.fscore`, which gets 1 for frames that are detected, and 0."""
        median = median_frames(self.params.median_filter_s, frames.frame_s)
        probabilities = (median_filtered(expit(logits.astype(np.float64)), median) for logits in logits_of(frames))
        active = (reached(values, self.params.threshold) for values in probabilities)
        tables = score_tables(frames, active)
        scores, *_ = library("sed_scores_eval").intersection_based.fscore(
            tables.scores,
            tables.references,
            threshold=0.5,
            dtc_threshold=self.params.dtc_threshold,
            gtc_threshold=self.params.gtc_threshold,
            time_decimals=DECIMALS,
        )
        return float(scores[f"{self.params.average}_average"])


class Psds1(EventMetric):
    """Polyphonic sound detection score over all thresholds, scenario 1: exact times."""

    Params: ClassVar[type] = Psds1Params
    name = "psds1"

    def score(self, frames: FramePredictions) -> float:
        """PSDS by `sed_scores_eval.intersection_based.psds`, of the logits: only their order counts, and none tie."""
        tables = score_tables(frames, smoothed_logits(frames, self.params.median_filter_s))
        # With one class, there is none to be mistaken for it.
        alpha_ct = self.params.alpha_ct if len(tables.classes) > 1 else 0.0
        score, *_ = library("sed_scores_eval").intersection_based.psds(
            *tables.inputs,
            dtc_threshold=self.params.dtc_threshold,
            gtc_threshold=self.params.gtc_threshold,
            cttc_threshold=self.params.cttc_threshold if alpha_ct else None,
            alpha_ct=alpha_ct,
            alpha_st=self.params.alpha_st,
            max_efpr=self.params.e_max,
            time_decimals=DECIMALS,
        )
        return float(score)


class Psds2(Psds1):
    """Polyphonic sound detection score over all thresholds, scenario 2: the right class."""

    Params: ClassVar[type] = Psds2Params
    name = "psds2"
