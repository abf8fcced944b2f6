"""Scores and durations as text, one form for every command, file and page."""

from __future__ import annotations

import math

UNDEFINED = "-"


def score(value: float | None) -> str:
    """A score, loss or probability with four decimals; `-` where it is undefined: None, as in JSON, or NaN."""
    return UNDEFINED if value is None or math.isnan(value) else f"{value:.4f}"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: `1:02:03`, `2:03`; `?` if not finite."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
