"""The section of a report about precision, recall and thresholds of the classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from pannsdist.training.metrics import ClassScores, Predictions, ThresholdCurve, threshold_curve

OPEN, DRAWN, POINTS = 6, 60, 120
SIDE_X, SIDE_Y, LEFT, TOP, BOTTOM = 260.0, 150.0, 42.0, 8.0, 32.0


def thresholds_section(predictions: Predictions, classes: Sequence[ClassScores], split: str) -> str:
    """Curves of the classes, the lowest average precision first, each with the threshold of the best F1."""
    defined = [place for place, one in enumerate(classes) if not math.isnan(one.average_precision)]
    order = sorted(defined, key=lambda place: (classes[place].average_precision, place))[:DRAWN]
    charts = []
    for place in order:
        one = classes[place]
        curve = threshold_curve(predictions, predictions.labels.index(one.label))
        if curve is not None:
            charts.append(_figure(one, curve, predictions.multi_label))
    if not charts:
        return ""
    rule = "at 0.5" if predictions.multi_label else "with the largest probability"
    words = (
        f"Each class against the rest, lowest average precision (AP) first. The point is the threshold with the best "
        f"F1 on {escape(split)}: it was chosen on these clips, so judge it on others. In brackets: F1 of "
        f"decisions {rule}."
    )
    if len(defined) > DRAWN:
        words += f" {DRAWN} of {len(defined)} classes are drawn."
    parts = [f"<section><h2>Precision and recall</h2><p class='quiet'>{words}</p>"]
    parts.append(f"<div class='curves'>{''.join(charts[:OPEN])}</div>")
    if charts[OPEN:]:
        rest = f"<summary>{len(charts) - OPEN} more classes</summary><div class='curves'>{''.join(charts[OPEN:])}</div>"
        parts.append(f"<details>{rest}</details>")
    return "".join([*parts, "</section>"])


def _figure(one: ClassScores, curve: ThresholdCurve, multi_label: bool) -> str:
    decided = f"{one.f1:.2f} at 0.5" if multi_label else f"{one.f1:.2f}"
    words = f"AP {one.average_precision:.2f} · threshold {curve.threshold:.3f}: F1 {curve.f1:.2f} ({decided})"
    caption = f"<b>{escape(one.label)}</b><div class='quiet'>{words}</div>"
    return f"<figure><figcaption>{caption}</figcaption>{curve_chart(curve)}</figure>"


def curve_chart(curve: ThresholdCurve) -> str:
    """Precision over recall, both from 0 to 1, as inline SVG; the best F1 is a point."""
    wide, high = SIDE_X - LEFT - 8, SIDE_Y - TOP - BOTTOM

    def place(recall: float, precision: float) -> tuple[float, float]:
        return LEFT + recall * wide, TOP + (1 - precision) * high

    parts = [f"<svg viewBox='0 0 {SIDE_X:g} {SIDE_Y:g}' role='img' class='chart'>"]
    for value in (0.0, 0.5, 1.0):
        (left, y), (x, bottom) = place(0.0, value), place(value, 0.0)
        parts.append(f"<line class='grid' x1='{left:g}' x2='{left + wide:g}' y1='{y:.1f}' y2='{y:.1f}'/>")
        parts.append(f"<text class='tick' x='{left - 5:g}' y='{y + 3.5:.1f}' text-anchor='end'>{value:g}</text>")
        parts.append(f"<text class='tick' x='{x:.1f}' y='{bottom + 13:.1f}' text-anchor='middle'>{value:g}</text>")
    parts.append(f"<text class='tick' x='{LEFT + wide / 2:.1f}' y='{SIDE_Y - 4:g}' text-anchor='middle'>recall</text>")
    middle = f"translate(9 {TOP + high / 2:.1f}) rotate(-90)"
    parts.append(f"<text class='tick' transform='{middle}' text-anchor='middle'>precision</text>")
    drawn = np.unique(np.linspace(0, len(curve.recall) - 1, POINTS).round().astype(int))
    points = [(0.0, float(curve.precision[0])), *((float(curve.recall[k]), float(curve.precision[k])) for k in drawn)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
    x, y = place(float(curve.recall[curve.best]), float(curve.precision[curve.best]))
    tooltip = f"recall {curve.recall[curve.best]:.2f}, precision {curve.precision[curve.best]:.2f}"
    parts.append(f"<polyline class='line' points='{line}'/>")
    parts.append(f"<circle class='dot dot1' cx='{x:.1f}' cy='{y:.1f}' r='4'><title>{tooltip}</title></circle>")
    return "".join([*parts, "</svg>"])
