"""Polyphonic sound detection score, over all thresholds, computed by `sed_scores_eval`.

Source: C. Bilen, G. Ferroni, F. Tuveri, J. Azcarreta, S. Krstulovic, "A Framework for the Robust Evaluation of Sound
Event Detection", ICASSP 2020; the two scenarios are those of DCASE task 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from pannsdist.contracts import param
from pannsdist.contracts.predictions import Predictions
from pannsdist_sed_scores.clips import SmoothingParams, frames_of, score_tables, smoothed_logits
from pannsdist_sed_scores.libraries import library, quietly


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


class Psds1:
    """Polyphonic sound detection score, scenario 1."""

    contract = 1
    Params: ClassVar[type] = Psds1Params
    higher_is_better = True
    needs_events = True
    name: ClassVar[str] = "psds1"

    def __init__(self, params: Psds1Params) -> None:
        self.params = params

    def applies(self, multi_label: bool, classes: int) -> bool:  # noqa: ARG002
        """Events of several classes may sound at once: multi-label tasks."""
        return multi_label

    def __call__(self, predictions: Predictions) -> float:
        """The score over all clips; NaN without a reference event. Raises UserError without predictions by frame."""
        frames, params = frames_of(predictions, self.name), self.params
        if frames is None:
            return math.nan
        tables = score_tables(frames, smoothed_logits(frames, params.median_filter_s))
        classes = {name for events in tables.references.values() for _, _, name in events}
        alpha_ct = params.alpha_ct if len(classes) > 1 else 0.0  # there is no other class to be mistaken for
        psds = library("sed_scores_eval").intersection_based.psds
        with quietly():
            score, *_ = psds(
                *tables.inputs,
                dtc_threshold=params.dtc_threshold,
                gtc_threshold=params.gtc_threshold,
                cttc_threshold=params.cttc_threshold if alpha_ct else None,
                alpha_ct=alpha_ct,
                alpha_st=params.alpha_st,
                max_efpr=params.e_max,
            )
        return float(score)


class Psds2(Psds1):
    """Polyphonic sound detection score, scenario 2."""

    Params: ClassVar[type] = Psds2Params
    name: ClassVar[str] = "psds2"
