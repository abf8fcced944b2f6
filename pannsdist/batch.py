"""A batch of labelled waveforms: what the audio floor hands to training and evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pannsdist.errors import BadClip


@dataclass(frozen=True)
class Batch:
    """Clips that could be read, and what was wrong with the others.

    `ids` (B), `waveforms` (B, S) float32, `targets` (B) int64 class indices, or (B, C) float32 zeros and ones.
    """

    ids: tuple[str, ...]
    waveforms: np.ndarray
    targets: np.ndarray
    bad: tuple[BadClip, ...] = ()
