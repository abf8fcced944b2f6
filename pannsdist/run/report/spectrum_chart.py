"""The spectrogram of a clip as an inline picture with axes in seconds and hertz, which follow the theme of the page."""

from __future__ import annotations

import base64
import io

import numpy as np

from pannsdist.contracts.spectrograms import Spectrogram

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 320.0, 132.0, 40.0, 8.0, 6.0, 30.0


def spectrogram_chart(found: Spectrogram) -> str:
    """Time in seconds to the right, frequency in hertz upwards, level as brightness."""
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    parts = [f"<svg viewBox='0 0 {WIDTH:g} {HEIGHT:g}' role='img' class='spectrogram'><title>spectrogram</title>"]
    shape = f"x='{LEFT:g}' y='{TOP:g}' width='{wide:g}' height='{high:g}' preserveAspectRatio='none'"
    parts.append(f"<image {shape} href='data:image/png;base64,{_png(found)}'/>")
    for hz in found.ticks_hz:
        if hz in (500, 2000) and high < 110:  # too near to its neighbours at this height
            continue
        name = f"{hz // 1000}k" if hz >= 1000 else str(hz)
        y = TOP + (1.0 - found.height(hz)) * high
        parts.append(f"<text class='tick' x='{LEFT - 4:g}' y='{y + 3.5:.1f}' text-anchor='end'>{name}</text>")
    for second in found.ticks_s:
        x = LEFT + (second / found.duration_s if found.duration_s else 0.0) * wide
        anchor = "middle" if x < WIDTH - 2 * RIGHT else "end"
        parts.append(f"<text class='tick' x='{x:.1f}' y='{HEIGHT - 19:g}' text-anchor='{anchor}'>{second:g}</text>")
    parts.append(f"<text class='tick' x='{LEFT + wide / 2:.1f}' y='{HEIGHT - 6:g}' text-anchor='middle'>s</text>")
    middle = f"translate(10 {TOP + high / 2:.1f}) rotate(-90)"
    parts.append(f"<text class='tick' transform='{middle}' text-anchor='middle'>Hz</text>")
    return "".join([*parts, "</svg>"])


def _png(found: Spectrogram) -> str:
    from matplotlib import colormaps
    from PIL import Image

    pixels = np.round(found.levels[::-1] * 255).astype(np.uint8)
    image = Image.fromarray(pixels, mode="P")
    colours = (np.asarray(colormaps["magma"](np.arange(256)))[:, :3] * 255).round().astype(np.uint8)
    image.putpalette(colours.tobytes())
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")
