"""How a model is run on sounds; none of it changes the model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InferenceOptions:
    """Engine, windows in seconds, device, the most windows of a forward pass, and precision; empty: the defaults."""

    engine: str | None = None
    window_s: float | None = None
    hop_s: float | None = None
    device: str | None = None
    batch_size: int | None = None
    precision: str | None = None
