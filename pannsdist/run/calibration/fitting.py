"""Fits the decisions of a model on predictions for clips that it did not train on.

Axes: N clips, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import FramePredictions, Predictions
from pannsdist.inference.decisions import Decisions, energies, probabilities
from pannsdist.run.calibration.events import fit_frames
from pannsdist.run.calibration.temperature import fit_temperature
from pannsdist.run.calibration.thresholds import Goal, fit_thresholds
from pannsdist.runtime.errors import BadDataset, UserError

REJECTED = 0.05
"""The fraction of the clips of known classes that may be answered with none of these."""


@dataclass(frozen=True)
class Wish:
    """What the user asks for: the goal of the thresholds, and the rate of known clips that may be rejected.

    Raises UserError for a rate out of range.
    """

    goal: Goal = field(default_factory=Goal)
    rejected: float = REJECTED

    def __post_init__(self) -> None:
        if not 0.0 <= self.rejected < 1.0:
            raise UserError(f"the rate of rejected clips is {self.rejected:g}", "give a number from 0 to below 1")


def fit(predictions: Predictions, wish: Wish, fitted_on: str) -> Decisions:
    """The decisions that suit these predictions, of clips that the model did not train on.

    Raises BadDataset where there is no clip, or a logit is not finite.
    """
    if not predictions.usable:
        wrong = f"nothing can be fitted on {fitted_on}: it has no clip, or the network's outputs are not finite"
        raise BadDataset(wrong, "give a split with clips, and a model that was trained to its end")
    multi_label, goal = predictions.multi_label, wish.goal
    temperature = fit_temperature(predictions)
    logits = predictions.logits.astype(np.float64) / temperature
    common, own = fit_thresholds(probabilities(logits, multi_label), predictions.positives, goal)
    frame_thresholds, median_s = fit_frames(predictions.frames, temperature, goal)
    least = None if multi_label else fit_min_energy(energies(logits, multi_label), wish.rejected)
    return Decisions(
        temperature,
        own,
        common,
        least,
        tuple(frame_thresholds),
        tuple(median_s),
        goal=goal.name,
        goal_value=goal.value,
        rejected=0.0 if least is None else wish.rejected,
        fitted_on=fitted_on,
        clips=len(predictions.ids),
    )


def fit_min_energy(known: NDArray[np.float64], rejected: float) -> float:
    """The energy below which at most a fraction `rejected` of known clips (N,) lies; between two clips where it can."""
    rising = np.sort(known)
    count = int(rejected * len(rising) + 1e-9)
    return float(rising[0] if count == 0 else (rising[count - 1] + rising[count]) / 2)


def joined(parts: Sequence[Predictions]) -> Predictions:
    """The predictions of several models, each for clips of its own, as one; groups are left out."""
    first = parts[0]
    ids = tuple(name for part in parts for name in part.ids)
    logits, targets = (np.concatenate([getattr(part, name) for part in parts]) for name in ("logits", "targets"))
    frames = joined_frames([part.frames for part in parts if part.frames is not None])
    return replace(first, ids=ids, logits=logits, targets=targets, groups=(), frames=frames)


def joined_frames(parts: Sequence[FramePredictions]) -> FramePredictions | None:
    """The predictions of several networks of one frame length as one, padded to the longest; None of none."""
    if not parts:
        return None
    most = max(part.logits.shape[1] for part in parts)
    padded = [np.pad(part.logits, ((0, 0), (0, most - part.logits.shape[1]), (0, 0))) for part in parts]
    return replace(
        parts[0],
        ids=tuple(name for part in parts for name in part.ids),
        logits=np.concatenate(padded),
        durations_s=np.concatenate([part.durations_s for part in parts]),
        events=tuple(events for part in parts for events in part.events),
    )
