"""Images for trackers and reports: confusion matrices and features, as arrays (height, width, 3) uint8."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAMED_CLASSES = 100
"""Maximum number of classes for label names on the axes of a confusion matrix; beyond, indices."""
COUNTED_CLASSES = 60
"""Maximum number of classes for counts in the cells."""
CJK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
)
OWN_FONT = "DejaVu Sans"  # comes with matplotlib
DPI = 100


def confusion_picture(matrix: NDArray[np.integer], labels: Sequence[str], title: str) -> NDArray[np.uint8]:
    """Image of a confusion matrix (C, C): rows are true classes, columns predicted ones; colours are row-normalised."""
    classes = len(labels)
    side = min(16.0, 2.2 + 0.42 * classes) if classes <= COUNTED_CLASSES else 14.0
    figure = _figure((side + 0.8, side))
    axes = figure.add_subplot()
    fractions = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    image = axes.imshow(fractions, cmap="Blues", vmin=0.0, vmax=1.0)
    figure.colorbar(image, ax=axes, fraction=0.046, pad=0.02, label="fraction of the true class")
    font, size = font_for("".join(labels)), max(4.0, min(9.0, 450.0 / classes))
    if classes <= NAMED_CLASSES:
        names = [_short(label) for label in labels] if font else [str(number) for number in range(classes)]
        axes.set_xticks(range(classes), names, rotation=90, fontsize=size, family=font or OWN_FONT)
        axes.set_yticks(range(classes), names, fontsize=size, family=font or OWN_FONT)
    if classes <= COUNTED_CLASSES:
        for row, column in zip(*np.nonzero(matrix), strict=True):
            colour = "white" if fractions[row, column] > 0.5 else "black"
            place = {"ha": "center", "va": "center", "fontsize": size, "color": colour}
            axes.text(column, row, str(matrix[row, column]), **place)
    numbered = "" if font and classes <= NAMED_CLASSES else " (class index)"
    axes.set_xlabel(f"predicted class{numbered}")
    axes.set_ylabel(f"true class{numbered}")
    axes.set_title(title)
    return _pixels(figure)


def features_picture(image: NDArray[np.floating], title: str) -> NDArray[np.uint8]:
    """Image of the features (T, F) of a clip, time to the right, frequency upwards; a curve if F is 1."""
    figure = _figure((7.0, 2.8))
    axes = figure.add_subplot()
    if image.shape[1] == 1:
        axes.plot(image[:, 0], linewidth=0.4)
        axes.set_xlabel("sample")
    else:
        axes.imshow(image.T, origin="lower", aspect="auto", cmap="magma", interpolation="nearest")
        axes.set_xlabel("frame")
        axes.set_ylabel("bin")
    font = font_for(title)
    drawn = title if font else "".join(letter if ord(letter) < 0x250 else "?" for letter in title)
    axes.set_title(drawn, fontsize=9, family=font or OWN_FONT, parse_math=False)
    return _pixels(figure)


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


def _short(label: str) -> str:
    text = label if len(label) <= 22 else f"{label[:21]}…"
    return text.replace("$", r"\$")  # matplotlib parses text between two of them as a formula


def _figure(size_inches: tuple[float, float]) -> Any:
    """A figure without pyplot, which would keep all figures alive."""
    from matplotlib.figure import Figure

    return Figure(figsize=size_inches, dpi=DPI, layout="constrained")


def _pixels(figure: Any) -> NDArray[np.uint8]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
