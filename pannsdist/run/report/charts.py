"""Charts of a report as inline SVG. Colours are CSS variables, for light and dark mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from pannsdist.runtime.figures import score

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340.0, 150.0, 46.0, 10.0, 10.0, 20.0

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
                tooltip = f"<title>{escape(name)}, epoch {epoch}: {score(value)}</title>"
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
