"""What the decisions of a model are worth on predictions, in words and as scores. Axes: N clips, C classes."""

from __future__ import annotations

from pannsdist.contracts.predictions import Predictions
from pannsdist.inference.decisions import Decisions
from pannsdist.run.calibration.scores import decision_scores
from pannsdist.run.series.scores import table
from pannsdist.runtime.figures import score
from pannsdist.training.metrics import METRICS

SHOWN_CLASSES = 20
"""So many thresholds are printed, of the classes that differ most from the common one."""


def summary(decisions: Decisions, predictions: Predictions) -> str:
    """Two tables: what was fitted, and the scores on the clips that it was fitted on, without and with it."""
    goal = "the highest F1" if decisions.goal == "f1" else f"a {decisions.goal} of {decisions.goal_value:g}"
    lines = [f"fitted on {decisions.clips} clips: {decisions.fitted_on}", ""]
    lines += [f"temperature  {score(decisions.temperature)}"]
    lines += [f"thresholds   {score(decisions.threshold)} for {goal}{_exceptions(decisions, predictions.labels)}"]
    if not predictions.multi_label:
        lines.append("             detect uses them; predict takes the most probable class")
    lines += _of_frames(decisions, predictions)
    if decisions.min_energy is not None:
        lines.append(f"energy       {score(decisions.min_energy)}; below it: none of these ({decisions.rejected:.0%})")
    missing = [label for label, there in zip(predictions.labels, predictions.present, strict=True) if not there]
    if missing:
        lines.append(f"no clip has  {', '.join(missing[:SHOWN_CLASSES])}: they keep the common threshold")
    raw = {name: METRICS[name].compute(predictions) for name in ("loss", "calibration_error", "macro_f1")}
    rows = [("on these clips", "raw", "decided")]
    for name, value in decision_scores(decisions, predictions).items():
        short = name.removeprefix("decided_")
        rows.append((short, score(raw[short]) if short in raw else "", score(value)))
    return "\n".join([*lines, "", table(rows)])


def _of_frames(decisions: Decisions, predictions: Predictions) -> list[str]:
    """What was fitted for the frames, of a network that answers by frame."""
    if predictions.frames is None:
        return []
    if not decisions.frame_thresholds:
        return ["frames       nothing is fitted: no clip has events with times; detect decides by the thresholds above"]
    columns = [*zip(predictions.labels, decisions.frame_thresholds, decisions.median_s, strict=True)]
    named = "; ".join(f"{label} {score(value)}, {median:g} s" for label, value, median in columns[:SHOWN_CLASSES])
    more = ", ..." if len(columns) > SHOWN_CLASSES else ""
    return [f"frames       threshold and median filter of each class: {named}{more}"]


def _exceptions(decisions: Decisions, labels: tuple[str, ...]) -> str:
    """The classes with a threshold of their own."""
    pairs = zip(labels, decisions.thresholds, strict=True)
    own = [(label, value) for label, value in pairs if value != decisions.threshold]
    own.sort(key=lambda pair: -abs(pair[1] - decisions.threshold))
    if not own:
        return ", of every class"
    named = ", ".join(f"{label} {score(value)}" for label, value in own[:SHOWN_CLASSES])
    return f"; {len(own)} of {len(labels)} classes have their own: {named}"
