"""The plot of a detection: waveform, log-mel, and the probabilities of the labels over time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.inference.detection import Event
from pannsdist.inference.drawing.outline import RANGE_DB, Curves, Outline
from pannsdist.runtime.errors import UserError, shell_command
from pannsdist.runtime.storage import write_atomic

ROWS = 8
MAX_LABEL, MAX_TITLE = 34, 80
TEXT, GRID, WAVE, CURVE, EVENT = "#22303c", "#d5dce3", "#31688e", "#c3d3e0", "#e8743b"
FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "SimHei",
)
"""The installed ones of these are used: the first for Latin letters, the others for Chinese labels."""
MISSING_GLYPH = r"Glyph .* missing from"
"""Matplotlib's warning for a character that it draws as an empty box."""
TICKS_HZ = (500, 2000, 8000)


@dataclass(frozen=True)
class Scene:
    """The content of a plot beside the curves: title, label names, events and their threshold."""

    title: str
    labels: Sequence[str]
    events: Sequence[Event]
    threshold: float


def draw(output: Path, outline: Outline, curves: Curves, scene: Scene) -> str:
    """Write the plot of one sound as PNG, atomically; needs no display.

    It has a row for each of eight labels (`Curves.top_labels`). Returns a note that no font has the characters of a
    label, or an empty string.
    """
    with warnings.catch_warnings(record=True) as missing:
        warnings.filterwarnings("always", message=MISSING_GLYPH)
        content = _png(outline, curves, scene)
    write_atomic(output, content)
    if not missing:
        return ""
    return f"{output}: no installed font has all of its characters; install Noto Sans CJK, for example, for Chinese"


def check_output(output: Path, sounds: Sequence[object]) -> None:
    """Check `--plot` before anything is computed. Raises UserError."""
    if output.suffix.lower() != ".png":
        raise UserError(f"--plot {output} is not a .png file", f"give a name such as {output.with_suffix('.png').name}")
    if not output.parent.is_dir():
        raise UserError(
            f"--plot {output}: there is no folder {output.parent}",
            command=shell_command("mkdir", "-p", output.parent),
        )
    if len(sounds) != 1:
        raise UserError(f"--plot draws one sound, but {len(sounds)} are given", "give one file, in a call for each")


def _png(outline: Outline, curves: Curves, scene: Scene) -> bytes:
    from matplotlib import font_manager, rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    installed = {font.name for font in font_manager.fontManager.ttflist}
    style: Any = {
        "font.family": [name for name in FONTS if name in installed],
        "font.size": 9.5,
        "text.color": TEXT,
        "axes.edgecolor": GRID,
        "axes.labelcolor": TEXT,
        "xtick.color": TEXT,
        "ytick.color": TEXT,
        "text.parse_math": False,
    }
    with rc_context(style):
        rows = curves.top_labels(ROWS, scene.threshold)
        heights = (1.0, 1.6, 0.32 * len(rows) + 0.1)
        layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
        figure = Figure(figsize=(10.0, 1.3 + sum(heights)), dpi=110, layout=layout)
        FigureCanvasAgg(figure)
        wave, mel, classes = figure.subplots(3, 1, sharex=True, height_ratios=heights)
        wave.set_title(_drawable(scene.title, MAX_TITLE), loc="left", fontsize=11, fontweight="bold", color=TEXT)
        _draw_wave(wave, outline)
        _draw_mel(mel, outline)
        _draw_classes(classes, curves, rows, scene, outline.duration_s)
        for axes in (wave, mel, classes):
            axes.spines[:].set_visible(False)
            axes.tick_params(length=0)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _draw_wave(axes: Any, outline: Outline) -> None:
    filled = np.isfinite(outline.lowest)
    low, high = np.where(filled, outline.lowest, 0.0), np.where(filled, outline.highest, 0.0)
    peak = max(float(np.abs([low, high]).max()), 1e-3)
    time_s = np.linspace(0.0, outline.duration_s, len(low))
    axes.fill_between(time_s, low, high, color=WAVE, linewidth=0.6)
    axes.set(ylim=(-1.08 * peak, 1.08 * peak), yticks=[0.0], yticklabels=["waveform"])


def _draw_mel(axes: Any, outline: Outline) -> None:
    image = outline.log_mel
    extent = (0.0, outline.duration_s, 0.0, image.shape[1])
    where = {"extent": extent, "vmin": -RANGE_DB, "vmax": 0.0}
    axes.imshow(image.T, origin="lower", aspect="auto", cmap="magma", interpolation="nearest", **where)
    hz = [tick for tick in TICKS_HZ if tick < outline.rate_hz / 2]
    ticks = np.searchsorted(outline.band_hz, hz) + 0.5
    axes.set(yticks=ticks, yticklabels=[_hz(tick) for tick in hz])


def _draw_classes(axes: Any, curves: Curves, rows: Sequence[int], scene: Scene, duration_s: float) -> None:
    """A row for each label, the first at the top: its probability, and its events in another colour."""
    edges = np.linspace(0.0, duration_s, len(curves.highest) + 1)
    for position, row in enumerate(rows):
        base = len(rows) - 1 - position
        values = 0.86 * np.append(curves.highest[:, row], curves.highest[-1, row])
        axes.fill_between(edges, base, base + values, step="post", color=CURVE, linewidth=0)
        for event in (event for event in scene.events if event.label == scene.labels[row]):
            inside = (edges >= event.onset_s - edges[1]) & (edges <= event.offset_s)
            axes.fill_between(edges, base, base + values, where=inside, step="post", color=EVENT, linewidth=0)
            axes.plot([event.onset_s, event.offset_s], [base, base], color=EVENT, linewidth=2.4, solid_capstyle="butt")
        axes.axhline(base, color=GRID, linewidth=0.8, zorder=0)
        peak = f"{curves.highest[:, row].max():.2f}"
        axes.text(1.006, base + 0.12, peak, transform=axes.get_yaxis_transform(), fontsize=8.5, color=TEXT)
    axes.set(xlim=(0.0, duration_s), ylim=(-0.08, len(rows)), xlabel="seconds")
    names = [_drawable(scene.labels[row], MAX_LABEL) for row in rows]
    axes.set_yticks([len(rows) - 1 - position + 0.35 for position in range(len(rows))], names)
    legend = f"probability; orange from {scene.threshold:g} on"
    axes.text(1.0, 1.0, legend, transform=axes.transAxes, ha="right", va="bottom", fontsize=8, color="#6b7a88")


def _hz(hz: int) -> str:
    return f"{hz} Hz" if hz < 1000 else f"{hz // 1000} kHz"


def _drawable(text: str, max_length: int) -> str:
    """Replace characters that cannot be drawn, and shorten the text."""
    text = "".join(character if character.isprintable() else "\ufffd" for character in text)
    return text if len(text) <= max_length else text[: max_length - 1] + "…"
