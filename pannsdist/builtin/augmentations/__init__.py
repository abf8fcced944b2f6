"""Waveform augmentation plugins."""

from __future__ import annotations

from typing import Any

from pannsdist.contracts import UserError, param


def probability() -> Any:
    """The param that every augmentation has."""
    return param(1.0, "probability of applying it to a clip", low=0.0, high=1.0)


def refuse_unordered(name: str, params: object, low: str, high: str) -> None:
    """Raise UserError if the lower limit of a range is above its upper limit."""
    below, above = getattr(params, low), getattr(params, high)
    if below > above:
        raise UserError(f"augment.{name}.{low} is {below}, above augment.{name}.{high}, which is {above}", "swap them")


def power(waveform: Any) -> float:
    """Mean square of a waveform."""
    import numpy as np

    return float(np.mean(np.square(waveform, dtype=np.float64)))
