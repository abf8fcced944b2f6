"""What the scores of events have in common: when they are undefined, and what they say to a run without events."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from pannsdist.contracts import UserError
from pannsdist.contracts.predictions import FramePredictions, Predictions
from pannsdist_sed_scores.clips import logits_of
from pannsdist_sed_scores.libraries import quietly

AVERAGES = ("macro", "micro")


class EventMetric(ABC):
    """A score of the strongly labelled clips of a split, from the predictions of their frames."""

    contract = 1
    higher_is_better = True
    needs_events = True
    Params: ClassVar[type]
    name: ClassVar[str]

    def __init__(self, params: Any) -> None:
        self.params = params

    def applies(self, multi_label: bool, classes: int) -> bool:  # noqa: ARG002
        """Events of several classes may sound at once: multi-label tasks."""
        return multi_label

    def __call__(self, predictions: Predictions) -> float:
        """The score, whatever the order of the clips; NaN without a reference event, or if a logit is not finite.

        Raises UserError if nothing was predicted by frame.
        """
        if predictions.frames is None:
            wrong = f"metrics.{self.name} scores events, and this run predicts none"
            raise UserError(wrong, f"train on clips with events, or leave it out: metrics.{self.name}=null")
        frames = predictions.frames.sorted_by_id()
        if not any(frames.events) or not all(np.isfinite(logits).all() for logits in logits_of(frames)):
            return math.nan
        with quietly():
            return float(self.score(frames))

    @abstractmethod
    def score(self, frames: FramePredictions) -> float:
        """The score of clips sorted by id, with at least one reference event and finite logits."""
