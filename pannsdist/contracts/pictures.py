"""Images for trackers and reports: confusions, spectrograms and features, as arrays (height, width, 3) uint8."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import Predictions
from pannsdist.contracts.reliability import f1_over_thresholds, reliability
from pannsdist.contracts.spectrograms import spectrogram

NAMED_CLASSES = 100
"""Maximum number of classes for label names on the axes of a confusion matrix; beyond, indices."""
COUNTED_CLASSES = 60
"""Maximum number of classes for counts in the cells."""
CARD_CLASSES = 12
"""Maximum number of classes whose names can be read where the picture is as wide as a card of a tracker's page."""
CJK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
)
OWN_FONT = "DejaVu Sans"  # comes with matplotlib
DPI, CARD_DPI = 100, 160
THRESHOLDS = 101
CARD = (3.9, 2.4)
"""Size in inches of a picture whose text can be read on a card of VisualDL, which has room for 380 x 220 pixels."""


def confusion_picture(matrix: NDArray[np.integer], labels: Sequence[str], title: str) -> NDArray[np.uint8]:
    """Image of a confusion matrix (C, C): rows are true classes, columns predicted ones; colours are row-normalised."""
    classes = len(labels)
    font = font_for("".join(labels))
    names = [_short(label, 14 if classes <= CARD_CLASSES else 22) for label in labels]
    names = names if font and classes <= NAMED_CLASSES else [str(number) for number in range(classes)]
    figure, size = _matrix_figure(classes)
    is_card = classes <= CARD_CLASSES
    axes = figure.add_subplot()
    fractions = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    axes.imshow(fractions, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto" if is_card else "equal")
    if classes <= NAMED_CLASSES:
        upright = classes <= 3 and max(map(len, names)) <= 10
        words = {"fontsize": size, "family": font or OWN_FONT}
        axes.set_xticks(range(classes), names, rotation=0 if upright else 90, **words)
        axes.set_yticks(range(classes), names, **words)
        axes.tick_params(length=0)
    if classes <= COUNTED_CLASSES:
        for row, column in zip(*np.nonzero(matrix), strict=True):
            colour = "white" if fractions[row, column] > 0.5 else "black"
            place = {"ha": "center", "va": "center", "fontsize": size, "color": colour}
            axes.text(column, row, str(matrix[row, column]), **place)
    numbered = "" if font and classes <= NAMED_CLASSES else " (class index)"
    large = 8.0 if is_card else 22.0  # a large picture is made smaller on a card
    axes.set_xlabel(f"predicted class{numbered}", fontsize=large)
    axes.set_ylabel(f"true class{numbered}", fontsize=large)
    axes.set_title(title, fontsize=large, parse_math=False)
    if classes > NAMED_CLASSES:
        axes.tick_params(labelsize=large)
    return _pixels(figure)


def _matrix_figure(classes: int) -> tuple[Any, float]:
    """The figure of a matrix, and the font size in it; a small matrix can be read on a card."""
    if classes > CARD_CLASSES:
        side = min(16.0, 2.2 + 0.42 * classes) if classes <= COUNTED_CLASSES else 14.0
        return _figure((side, side), DPI), max(5.0, min(9.0, 450.0 / classes))
    more = 0.04 * max(0, classes - 4)
    return _figure((CARD[0] + more, CARD[1] + more), CARD_DPI), 9.0 if classes <= 4 else 8.0 if classes <= 8 else 7.0


def spectrogram_picture(waveform: NDArray[np.floating], rate_hz: int, title: str) -> NDArray[np.uint8]:
    """Image of the spectrogram of a waveform (S,), time in seconds to the right, frequency in hertz upwards."""
    found = spectrogram(waveform, rate_hz)
    figure, axes = _card(title)
    edges = (0.0, max(found.duration_s, 1e-3), 0.0, 1.0)
    axes.imshow(found.levels, origin="lower", aspect="auto", cmap="magma", vmin=0.0, vmax=1.0, extent=edges)
    names = [f"{hz // 1000}k" if hz >= 1000 else str(hz) for hz in found.ticks_hz]
    axes.set_yticks([found.height(hz) for hz in found.ticks_hz], names)
    axes.set_xlabel("time in s", fontsize=8)
    axes.set_ylabel("frequency in Hz", fontsize=8)
    return _pixels(figure)


def features_picture(image: NDArray[np.floating], duration_s: float, title: str) -> NDArray[np.uint8]:
    """Image of the features (T, F) of a clip, time in seconds to the right, bins upwards; a curve if F is 1."""
    figure, axes = _card(title)
    if image.shape[1] == 1:
        axes.plot(np.linspace(0.0, duration_s, len(image)), image[:, 0], linewidth=0.4)
    else:
        edges = (0.0, duration_s, 0.0, float(image.shape[1]))
        axes.imshow(image.T, origin="lower", aspect="auto", cmap="magma", interpolation="nearest", extent=edges)
        axes.set_ylabel("feature bin", fontsize=8)
    axes.set_xlabel("time in s", fontsize=8)
    return _pixels(figure)


def reliability_picture(predictions: Predictions, title: str) -> NDArray[np.uint8]:
    """Image of a reliability diagram: how often predictions are right over how sure they are, and the diagonal."""
    found = reliability(predictions)
    figure, axes = _card(title)
    axes.plot([0.0, 1.0], [0.0, 1.0], linewidth=0.8, color="grey", linestyle="dashed")
    axes.plot(found.confidence, found.frequency, linewidth=1.0, color="tab:blue")
    axes.scatter(found.confidence, found.frequency, s=4.0 + 60.0 * found.count / found.count.sum(), color="tab:blue")
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, 1.05)
    axes.set_xlabel("probability", fontsize=8)
    axes.set_ylabel("frequency", fontsize=8)
    return _pixels(figure)


def thresholds_picture(predictions: Predictions, labels: Sequence[str], title: str) -> NDArray[np.uint8]:
    """Image of the F1 of classes over the threshold of their probability; the thick line is their mean."""
    thresholds = np.linspace(0.0, 1.0, THRESHOLDS)
    rows = [f1_over_thresholds(predictions, predictions.labels.index(label), thresholds) for label in labels]
    figure, axes = _card(title)
    for row in rows:
        axes.plot(thresholds, row, linewidth=0.6, color="tab:blue", alpha=0.5)
    axes.plot(thresholds, np.mean(rows, axis=0), linewidth=1.6, color="tab:orange")
    axes.set_ylim(0.0, 1.05)
    axes.set_xlabel("threshold", fontsize=8)
    axes.set_ylabel("F1", fontsize=8)
    return _pixels(figure)


def _card(title: str) -> tuple[Any, Any]:
    """A figure for a card and its axes, with the lines of the title, each cut to the width."""
    figure = _figure(CARD, CARD_DPI)
    axes = figure.add_subplot()
    axes.tick_params(labelsize=8)
    cut = "\n".join(_cut(line, 56) for line in title.split("\n"))
    font = font_for(cut)
    drawn = cut if font else "".join(letter if ord(letter) < 0x250 else "?" for letter in cut)
    axes.set_title(drawn, fontsize=8, family=font or OWN_FONT, parse_math=False)
    return figure, axes


@cache
def font_for(text: str) -> str | None:
    """An installed font with glyphs for all characters of a text, or None."""
    from matplotlib import font_manager, ft2font

    wanted = {ord(letter) for letter in text if not letter.isspace()}
    paths = {font.name: font.fname for font in font_manager.fontManager.ttflist}
    for name in (OWN_FONT, *CJK_FONTS):
        if name in paths and wanted <= ft2font.FT2Font(paths[name]).get_charmap().keys():
            return name
    return None


def _cut(text: str, most: int) -> str:
    """The text with at most so many letters; a longer one keeps its start and its end."""
    return text if len(text) <= most else f"{text[: most - most // 3 - 1]}…{text[-(most // 3) :]}"


def _short(label: str, most: int) -> str:
    return _cut(label, most).replace("$", r"\$")  # matplotlib parses text between two of them as a formula


def _figure(size_inches: tuple[float, float], dpi: int) -> Any:
    """A figure without pyplot, which would keep all figures alive."""
    from matplotlib.figure import Figure

    return Figure(figsize=size_inches, dpi=dpi, layout="constrained")


def _pixels(figure: Any) -> NDArray[np.uint8]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
