"""Threshold and median filter of each class for the frames of a network, fitted on strongly labelled clips.

Axes: N clips, T frames, C classes, M median filters, K thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from pannsdist.contracts.event_decoding import DECIMALS, median_filtered, median_frames, reached, runs
from pannsdist.contracts.predictions import FramePredictions
from pannsdist.run.calibration.event_counts import Spans, matched, reference_spans
from pannsdist.run.calibration.thresholds import Curve, Goal, best, quality

MEDIANS_S = (0.0, 0.16, 0.32, 0.48, 0.64, 0.96, 1.44, 1.92)
"""The median filters that are tried; networks' frames are 10 to 100 ms long, and events from 0.2 s."""
ODDS = np.linspace(-6.0, 6.0, 49)
"""The thresholds that are tried, in log odds: 0.0025 to 0.9975."""
EVENTS_BY_CHANCE = 2
"""A class has a pair of its own only where more events than these are decided better by it: 392 pairs are tried."""
SCORES = ("f1", "precision", "recall")


def fit_frames(frames: FramePredictions | None, temperature: float, goal: Goal) -> tuple[list[float], list[float]]:
    """(threshold, length of the median filter in seconds) of each class (C), of logits divided by the temperature.

    They have the highest F1 of events, or the wanted precision or recall of events, with a collar of 200 ms. As for
    clips, a class leaves the pair that suits all classes best only for more than two events, and without a reference
    event it keeps that pair. Both lists are empty where no clip has events with times, or a logit is not finite.
    """
    if frames is None or not any(frames.events) or not np.isfinite(frames.logits).all():
        return [], []
    references = reference_spans(frames)
    counts = sorted({int(count) for count in median_frames(np.array(MEDIANS_S), frames.frame_s)})
    curves = [_curves(frames, temperature, count, references) for count in counts]  # M lists of C
    seen = [column for column, reference in enumerate(references) if len(reference)]
    common = _common([[of_median[column] for column in seen] for of_median in curves], goal)
    chosen = [
        _of_class([of_median[column] for of_median in curves], goal, common) if column in set(seen) else common
        for column in range(len(references))
    ]
    lengths_s = [round(counts[place] * frames.frame_s, DECIMALS) if counts[place] > 1 else 0.0 for place, _ in chosen]
    return [threshold for _, threshold in chosen], lengths_s


def _curves(frames: FramePredictions, temperature: float, median: int, references: Sequence[Spans]) -> list[Curve]:
    """Events found and right over the thresholds, for each class (C), after one median filter."""
    thresholds, middles = expit(ODDS), expit((ODDS[:-1] + ODDS[1:]) / 2)
    probabilities = np.zeros(frames.logits.shape, np.float32)
    for clip, count in enumerate(frames.frames):
        own = expit(frames.logits[clip, :count].astype(np.float64) / temperature)
        probabilities[clip, :count] = median_filtered(own, median)
    found = []
    for column, reference in enumerate(references):
        given = [_detected(probabilities[:, :, column], one, frames) for one in thresholds] if len(reference) else []
        hits = np.array([float(matched(reference, one)) for one in given])
        found.append(Curve(middles, thresholds, hits, np.array([float(len(one)) for one in given]), len(reference)))
    return found


def _detected(probabilities: NDArray[np.float32], threshold: float, frames: FramePredictions) -> Spans:
    """The runs of frames of one class (N, T) that reach a threshold; padding is 0 and reaches none."""
    clips, first, behind = runs(reached(probabilities, threshold))
    ends_s = np.minimum(np.round(behind * frames.frame_s, DECIMALS), np.round(frames.durations_s[clips], DECIMALS))
    return Spans(clips, np.round(first * frames.frame_s, DECIMALS), ends_s)


def _common(curves: Sequence[Sequence[Curve]], goal: Goal) -> tuple[int, float]:
    """The (place of the median, threshold) that is best on average over the classes that have events."""
    means = [{name: np.mean([getattr(one, name) for one in own], axis=0) for name in SCORES} for own in curves]
    return _best([quality(goal, **mean) for mean in means])


def _of_class(curves: Sequence[Curve], goal: Goal, common: tuple[int, float]) -> tuple[int, float]:
    """The (place of the median, threshold) of one class from its curve after each median filter."""
    own = [quality(goal, one.f1, one.precision, one.recall) for one in curves]
    if goal.name != "f1":
        return _best(own)
    here = curves[common[0]]
    place = int(here.at(common[1]))
    by_chance = EVENTS_BY_CHANCE * 2.0 / (here.positives + here.given[place])
    return _best(own) if max(one.max() for one in own) - own[common[0]][place] > by_chance else common


def _best(qualities: Sequence[NDArray[np.float64]]) -> tuple[int, float]:
    """The shortest median filter of the highest quality, and the middle of its best thresholds."""
    median = int(np.argmax([one.max() for one in qualities]))
    return median, best(expit(ODDS), qualities[median])
