"""Augmentation `gain`: random gain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pannsdist.builtin.augmentations import probability, refuse_unordered
from pannsdist.contracts import param


@dataclass(frozen=True)
class GainParams:
    """The gain is drawn uniformly from `low_db` to `high_db`."""

    low_db: float = param(-6.0, "minimum gain in dB", low=-60.0, high=60.0)
    high_db: float = param(6.0, "maximum gain in dB", low=-60.0, high=60.0)
    probability: float = probability()


class Gain:
    """Multiply the clip by a random factor, without clipping.

    Source: the gain augmentation of PaSST (Koutini et al. 2022, arXiv 2110.05069) and EfficientAT.
    """

    Params: ClassVar[type] = GainParams

    def __init__(self, params: GainParams) -> None:
        refuse_unordered("gain", params, "low_db", "high_db")
        self.params = params

    def __call__(self, waveform: np.ndarray, rate_hz: int, generator: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        """(S,) float32 -> (S,) float32."""
        gain_db = generator.uniform(self.params.low_db, self.params.high_db)
        scaled: np.ndarray = waveform * np.float32(10 ** (gain_db / 20))
        return scaled
