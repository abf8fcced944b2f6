"""How a sound is cut into windows and padded: one rule for predictions, exported graphs and their record."""

from __future__ import annotations

from dataclasses import dataclass

from pannsdist.inference.inference_model import InferenceModel
from pannsdist.runtime.errors import UserError, at_least

MAX_S = 86_400
"""The longest window, a day: one more would be a number of samples that no machine can hold."""


@dataclass(frozen=True)
class Windowing:
    """Window, hop, and the length that a shorter sound is padded to with silence, all in samples."""

    window: int
    hop: int
    pad_to: int


def windowing(inference_model: InferenceModel, window_s: float | None = None, hop_s: float | None = None) -> Windowing:
    """The windows of a model in samples: by default its own window, without overlap.

    Raises UserError for a window that is too short for the network, and for a hop that leaves gaps.
    """
    window_s = inference_model.window_s if window_s is None else window_s
    hop_s = window_s if hop_s is None else hop_s
    minimum_s = inference_model.minimum_s
    if not minimum_s <= window_s <= MAX_S:
        right = f"the network needs {at_least(minimum_s)}; allowed: up to {MAX_S:,} s"
        raise UserError(f"the window is {window_s:g} s", right)
    if not 0 < hop_s <= window_s:
        raise UserError(f"the hop is {hop_s:g} s", f"allowed: above 0, up to the window's {window_s:g} s")
    lengths_s = (window_s, hop_s, min(window_s, inference_model.pad_to_s))
    return Windowing(*(max(1, round(length_s * inference_model.rate_hz)) for length_s in lengths_s))
