"""A confusion matrix as inline SVG, or as an inline picture for many classes."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

DRAWN_CLASSES = 60
"""Maximum number of classes of a drawn matrix."""
COUNTED_CLASSES = 30
FONT, SMALL_FONT, ROOM = 13.0, 11.0, 520.0
LETTERS = 24


def confusion_chart(matrix: NDArray[np.integer], labels: Sequence[str]) -> str:
    """A matrix (C, C) for up to DRAWN_CLASSES classes: rows are true classes, columns predicted ones."""
    classes = len(labels)
    font = FONT if classes <= 12 else SMALL_FONT
    names = [label if len(label) <= LETTERS else f"{label[: LETTERS - 1]}…" for label in labels]
    margin = 14 + max(_width(name, font) for name in names)
    slant = margin * 0.75 + 8
    cell = min(130.0, max(15.0 if classes > COUNTED_CLASSES else 27.0, (ROOM - margin - slant * 0.6) / classes))
    width, height = round(margin + classes * cell + slant * 0.9), round(slant + classes * cell + 4)
    style = f"min-width:{min(width, 480)}px;max-width:{width}px"
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
            count, fraction = int(matrix[row, column]), float(fractions[row, column])
            corner = (margin + column * cell, slant + row * cell)
            parts.append(_cell(corner, cell, count, fraction, row == column))
            parts.append(f"<title>{escape(f'{labels[row]} predicted as {labels[column]}: {count}')}</title></rect>")
            if count and classes <= COUNTED_CLASSES:
                at = f"x='{corner[0] + (cell - 1) / 2:.1f}' y='{corner[1] + cell / 2 + font / 3:.1f}'"
                strong = " on" if fraction > 0.5 else ""
                parts.append(f"<text class='count{strong}' {at} font-size='{font}' text-anchor='middle'>{count}</text>")
    return "".join([*parts, "</svg>"])


def _cell(corner: tuple[float, float], side: float, count: int, fraction: float, is_right: bool) -> str:
    """The opening tag of a cell, as strong as the fraction of the true class that it holds."""
    opacity = 0.0 if count == 0 else 0.12 + 0.88 * fraction
    size = f"width='{side - 1:g}' height='{side - 1:g}' rx='2' fill-opacity='{opacity:.3f}'"
    return f"<rect class='cell {'right' if is_right else 'wrong'}' x='{corner[0]:.1f}' y='{corner[1]:.1f}' {size}>"


def _width(text: str, font: float) -> float:
    """Estimated width of a text; CJK characters are as wide as the font size."""
    return sum(font if ord(letter) > 0x2E80 else 0.56 * font for letter in text)


def confusion_image(matrix: NDArray[np.integer], labels: Sequence[str], title: str) -> str:
    """A matrix of any number of classes as an inline PNG."""
    from PIL import Image

    from pannsdist.contracts.pictures import confusion_picture

    file = io.BytesIO()
    Image.fromarray(confusion_picture(matrix, labels, title)).save(file, format="PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f"<img alt='confusion matrix' src='data:image/png;base64,{data}'>"
