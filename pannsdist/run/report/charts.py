"""Charts of a report as inline SVG. Colours are CSS variables, for light and dark mode."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340.0, 150.0, 46.0, 10.0, 10.0, 20.0
DRAWN_CLASSES = 60
"""Maximum number of classes for a confusion matrix in SVG; larger ones are PNG images."""
COUNTED_CLASSES = 30

Series = Sequence[float | None]


def line_chart(series: Mapping[str, Series], best_epoch: int | None) -> str:
    """One line per name over epochs 1 to n; None leaves a gap. The best epoch is marked."""
    numbers = [value for values in series.values() for value in values if value is not None]
    epochs = max(len(values) for values in series.values())
    if not numbers:
        return "<p class='quiet'>no finite value in any epoch</p>"
    low, high = min(numbers), max(numbers)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5

    def x(epoch: float) -> float:
        fraction = (epoch - 1) / (epochs - 1) if epochs > 1 else 0.5
        return LEFT + fraction * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [f"<svg viewBox='0 0 {WIDTH:g} {HEIGHT:g}' role='img' class='chart'>"]
    for value in (low, (low + high) / 2, high):
        parts.append(f"<line class='grid' x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{y(value):.1f}' y2='{y(value):.1f}'/>")
        parts.append(f"<text class='tick' x='{LEFT - 5}' y='{y(value) + 3.5:.1f}' text-anchor='end'>{value:.3g}</text>")
    for epoch in sorted({1, epochs}):
        anchor = "middle" if epochs == 1 else "start" if epoch == 1 else "end"
        parts.append(f"<text class='tick' x='{x(epoch):.1f}' y='{HEIGHT - 5}' text-anchor='{anchor}'>{epoch}</text>")
    if best_epoch is not None and 1 <= best_epoch <= epochs:
        place = x(best_epoch)
        parts.append(f"<line class='best' x1='{place:.1f}' x2='{place:.1f}' y1='{TOP}' y2='{HEIGHT - BOTTOM}'/>")
    for number, (name, values) in enumerate(series.items()):
        points = [(epoch, value) for epoch, value in enumerate(values, start=1)]
        for run in _runs(points):
            drawn = " ".join(f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in run)
            parts.append(f"<polyline class='line line{number}' points='{drawn}'/>")
            for epoch, value in run:
                tooltip = f"<title>{escape(name)}, epoch {epoch}: {value:.4f}</title>"
                dot = f"cx='{x(epoch):.1f}' cy='{y(value):.1f}' r='{2.5 if epochs <= 60 else 1.5}'"
                parts.append(f"<circle class='dot dot{number}' {dot}>{tooltip}</circle>")
    return "".join([*parts, "</svg>"])


def _runs(points: Sequence[tuple[int, float | None]]) -> list[list[tuple[int, float]]]:
    """Runs of consecutive points, split at gaps."""
    runs: list[list[tuple[int, float]]] = [[]]
    for epoch, value in points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append((epoch, value))
    return [run for run in runs if run]


def confusion_chart(matrix: NDArray[np.integer], labels: Sequence[str], title: str) -> str:
    """A confusion matrix (C, C): rows are true classes, columns predicted ones. An inline PNG for many classes."""
    if len(labels) > DRAWN_CLASSES:
        return f"<img alt='confusion matrix' src='data:image/png;base64,{_png(matrix, labels, title)}'>"
    classes = len(labels)
    cell = 36.0 if classes <= 12 else 24.0 if classes <= COUNTED_CLASSES else 14.0
    font = 12.0 if cell > 20 else 10.0
    names = [label if len(label) <= 24 else f"{label[:23]}…" for label in labels]
    margin = 14 + max(_width(name, font) for name in names)
    slant = margin * 0.75 + 8
    width, height = round(margin + classes * cell + slant), round(slant + classes * cell + 4)
    style = f"min-width:{min(width, 520)}px;max-width:{width}px"
    parts = [f"<svg viewBox='0 0 {width} {height}' style='{style}' role='img' class='confusion'>"]
    fractions = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    for row, name in enumerate(names):
        middle = slant + (row + 0.5) * cell + font / 3
        parts.append(
            f"<text x='{margin - 6:.0f}' y='{middle:.1f}' font-size='{font}' text-anchor='end'>{escape(name)}</text>"
        )
        place = f"{margin + (row + 0.5) * cell:.1f} {slant - 6:.1f}"
        parts.append(f"<text transform='translate({place}) rotate(-48)' font-size='{font}'>{escape(name)}</text>")
        for column in range(classes):
            count = int(matrix[row, column])
            x, y, fraction = margin + column * cell, slant + row * cell, fractions[row, column]
            tooltip = f"{labels[row]} predicted as {labels[column]}: {count}"
            kind = "right" if row == column else "wrong"
            opacity = 0.0 if count == 0 else 0.12 + 0.88 * fraction
            parts.append(
                f"<rect class='cell {kind}' x='{x:.1f}' y='{y:.1f}' width='{cell - 1:g}' height='{cell - 1:g}' rx='2'"
                f" fill-opacity='{opacity:.3f}'><title>{escape(tooltip)}</title></rect>"
            )
            if count and classes <= COUNTED_CLASSES:
                at = f"x='{x + (cell - 1) / 2:.1f}' y='{y + cell / 2 + font / 3:.1f}'"
                strong = " on" if fraction > 0.5 else ""
                parts.append(f"<text class='count{strong}' {at} font-size='{font}' text-anchor='middle'>{count}</text>")
    return "".join([*parts, "</svg>"])


def _width(text: str, font: float) -> float:
    """Estimated width of a text; CJK characters are as wide as the font size."""
    return sum(font if ord(letter) > 0x2E80 else 0.56 * font for letter in text)


def _png(matrix: NDArray[np.integer], labels: Sequence[str], title: str) -> str:
    from PIL import Image

    from pannsdist.contracts.pictures import confusion_picture

    file = io.BytesIO()
    Image.fromarray(confusion_picture(matrix, labels, title)).save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")
