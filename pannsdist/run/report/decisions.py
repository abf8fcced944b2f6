"""The section of a report about decisions: how reliable the probabilities are, and F1 over the thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape

import numpy as np

from pannsdist.contracts.predictions import Predictions
from pannsdist.contracts.reliability import f1_over_thresholds, reliability
from pannsdist.inference.decisions import Decisions

SIDE_X, SIDE_Y, LEFT, TOP, BOTTOM, RIGHT = 260.0, 190.0, 42.0, 8.0, 32.0, 8.0
POINTS, DRAWN = 101, 12
"""Thresholds of a curve, and the most classes that are drawn: those with most clips."""

Points = Sequence[tuple[float, float]]


def decisions_section(predictions: Predictions, decisions: Decisions | None, split: str) -> str:
    """A reliability diagram and curves of F1, with the thresholds that were fitted, if they were."""
    if not predictions.usable:
        return ""
    lines = {"as trained": _reliable(predictions)}
    own = predictions
    if decisions is not None:
        own = replace(predictions, logits=decisions.logits(predictions.logits))
        lines[f"temperature {decisions.temperature:.3f}"] = _reliable(own)
    legend = " ".join(f"<span class='key key{i}'>{escape(name)}</span>" for i, name in enumerate(lines))
    diagram = _chart({"": [(0.0, 0.0), (1.0, 1.0)], **lines}, ("probability", "frequency"))
    figures = [f"<figure><figcaption>{legend}</figcaption>{diagram}</figure>", *_curves(own, decisions)]
    return (
        f"<section><h2>Decisions</h2><p class='quiet'>{_words(decisions, split)}</p>"
        f"<div class='curves'>{''.join(figures)}</div></section>"
    )


def _words(decisions: Decisions | None, split: str) -> str:
    """What is drawn, and what was fitted on what."""
    words = f"On {escape(split)}: how often predictions are right over how sure they are, and the F1 of classes "
    words += "against the rest over the threshold of their probability. "
    if decisions is None:
        return words + "No decisions are fitted yet: <code>pannsdist calibrate</code> does so."
    known = f"The model's decisions were fitted on {decisions.clips} clips ({escape(decisions.fitted_on)})"
    if decisions.min_energy is not None:
        known += f"; a sound with an energy below {decisions.min_energy:.3f} is none of these"
    return f"{words}{known}. The points are its thresholds."


def _reliable(predictions: Predictions) -> Points:
    found = reliability(predictions)
    return [*zip(found.confidence.tolist(), found.frequency.tolist(), strict=True)]


def _curves(predictions: Predictions, decisions: Decisions | None) -> list[str]:
    """F1 over the threshold of each class that has most clips."""
    support = predictions.positives.sum(axis=0)
    order = [place for place in np.argsort(-support, kind="stable")[:DRAWN].tolist() if support[place]]
    thresholds = np.linspace(0.0, 1.0, POINTS)
    figures = []
    for column in order:
        line = f1_over_thresholds(predictions, column, thresholds)
        mark, words = None, ""
        if decisions is not None:
            least = decisions.thresholds[column]
            mark = (least, float(f1_over_thresholds(predictions, column, np.array([least]))[0]))
            words = f"<div class='quiet'>threshold {least:.3f}: F1 {mark[1]:.2f}</div>"
        chart = _chart({"F1": [*zip(thresholds.tolist(), line.tolist(), strict=True)]}, ("threshold", "F1"), mark)
        caption = f"<figcaption><b>{escape(predictions.labels[column])}</b>{words}</figcaption>"
        figures.append(f"<figure>{caption}{chart}</figure>")
    return figures


def _chart(lines: Mapping[str, Points], axes: tuple[str, str], mark: tuple[float, float] | None = None) -> str:
    """Lines with both axes from 0 to 1, as inline SVG; the one without a name is a guide."""
    wide, high = SIDE_X - LEFT - RIGHT, SIDE_Y - TOP - BOTTOM

    def place(x: float, y: float) -> str:
        return f"{LEFT + x * wide:.1f},{TOP + (1 - y) * high:.1f}"

    parts = [f"<svg viewBox='0 0 {SIDE_X:g} {SIDE_Y:g}' role='img' class='chart'>"]
    for value in (0.0, 0.5, 1.0):
        (left, y), (x, bottom) = place(0.0, value).split(","), place(value, 0.0).split(",")
        parts.append(f"<line class='grid' x1='{left}' x2='{LEFT + wide:g}' y1='{y}' y2='{y}'/>")
        parts.append(f"<text class='tick' x='{LEFT - 5:g}' y='{float(y) + 3.5:.1f}' text-anchor='end'>{value:g}</text>")
        parts.append(f"<text class='tick' x='{x}' y='{float(bottom) + 13:.1f}' text-anchor='middle'>{value:g}</text>")
    below = f"x='{LEFT + wide / 2:.1f}' y='{SIDE_Y - 4:g}'"
    parts.append(f"<text class='tick' {below} text-anchor='middle'>{axes[0]}</text>")
    turned = f"translate(9 {TOP + high / 2:.1f}) rotate(-90)"
    parts.append(f"<text class='tick' transform='{turned}' text-anchor='middle'>{axes[1]}</text>")
    for number, (name, points) in enumerate(lines.items(), start=-int("" in lines)):
        drawn = " ".join(place(*point) for point in points)
        kind = f"line line{number}" if name else "best"
        parts.append(f"<polyline class='{kind}' points='{drawn}'/>")
    if mark is not None:
        x, y = place(*mark).split(",")
        parts.append(f"<circle class='dot dot1' cx='{x}' cy='{y}' r='4'/>")
    return "".join([*parts, "</svg>"])
