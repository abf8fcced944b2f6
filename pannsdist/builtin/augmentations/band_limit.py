"""Augmentation `band_limit`: what a telephone, a cheap microphone or a small loudspeaker leaves of a sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pannsdist.builtin.augmentations import probability, refuse_unordered
from pannsdist.contracts import param

KINDS = ("telephone", "low_pass", "high_pass")
TELEPHONE_HZ = (300.0, 3400.0)
"""The band of a telephone."""
HIGHEST_FRACTION = 0.45
"""Maximum cut-off frequency as a fraction of the sample rate: near Nyquist nothing is left to remove."""


@dataclass(frozen=True)
class BandLimitParams:
    """Cut-off frequencies are drawn log-uniformly."""

    kind: str = param("any", "band; any: one of the others, drawn for each clip", choices=("any", *KINDS))
    low_pass_low_hz: float = param(2000.0, "lowest cut-off of low_pass in Hz", above=0.0)
    low_pass_high_hz: float = param(8000.0, "highest cut-off of low_pass in Hz", above=0.0)
    high_pass_low_hz: float = param(50.0, "lowest cut-off of high_pass in Hz", above=0.0)
    high_pass_high_hz: float = param(1000.0, "highest cut-off of high_pass in Hz", above=0.0)
    order: int = param(4, "order of the Butterworth filter; 4 falls by 24 dB per octave", low=1, high=12)
    probability: float = probability()


class BandLimit:
    """A Butterworth filter: the band of a telephone, or a random low-pass or high-pass. Its level is not restored.

    Source: Butterworth 1930; the band of a telephone: ITU-T G.712.
    """

    Params: ClassVar[type] = BandLimitParams

    def __init__(self, params: BandLimitParams) -> None:
        refuse_unordered("band_limit", params, "low_pass_low_hz", "low_pass_high_hz")
        refuse_unordered("band_limit", params, "high_pass_low_hz", "high_pass_high_hz")
        self.params = params

    def __call__(self, waveform: np.ndarray, rate_hz: int, generator: np.random.Generator) -> np.ndarray:
        """(S,) float32 -> (S,) float32."""
        from scipy.signal import butter, sosfilt

        kind = self.params.kind
        if kind == "any":
            kind = KINDS[int(generator.integers(len(KINDS)))]
        highest_hz = HIGHEST_FRACTION * rate_hz
        if kind == "telephone":
            low_hz, high_hz = TELEPHONE_HZ
            cut = (low_hz, min(high_hz, highest_hz)) if low_hz < highest_hz else (highest_hz / 10, highest_hz)
            sections = butter(self.params.order, cut, "bandpass", fs=rate_hz, output="sos")
        else:
            limits = (getattr(self.params, f"{kind}_low_hz"), getattr(self.params, f"{kind}_high_hz"))
            cut_hz = np.exp(generator.uniform(*np.log(np.minimum(limits, highest_hz))))
            sections = butter(self.params.order, cut_hz, kind.replace("_", ""), fs=rate_hz, output="sos")
        limited: np.ndarray = sosfilt(sections, waveform)
        return limited.astype(np.float32)
