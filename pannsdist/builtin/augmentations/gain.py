"""The augmentation `gain`: louder or softer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pannsdist.builtin.augmentations import probability, refuse_unordered
from pannsdist.contracts import param


@dataclass(frozen=True)
class GainParams:
    """The gain is drawn evenly between the two."""

    low_db: float = param(-6.0, "least gain", low=-60.0, high=60.0)
    high_db: float = param(6.0, "most gain", low=-60.0, high=60.0)
    probability: float = probability()


class Gain:
    """The whole clip louder or softer by one factor; nothing is cut off above 1.

    Source: the gain augmentation of PaSST (Koutini et al. 2022, arXiv 2110.05069) and EfficientAT.
    """

    Params: ClassVar[type] = GainParams

    def __init__(self, params: GainParams) -> None:
        refuse_unordered("gain", params, "low_db", "high_db")
        self.params = params

    def __call__(self, waveform: np.ndarray, rate_hz: int, generator: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        """(S,) float32 -> (S,) float32."""
        gain_db = generator.uniform(self.params.low_db, self.params.high_db)
        louder: np.ndarray = waveform * np.float32(10 ** (gain_db / 20))
        return louder
