"""The params of the feature `pcen`."""

from __future__ import annotations

from dataclasses import dataclass

from pannsdist.contracts import param
from pannsdist.contracts.spectrum_params import SpectrumParams


@dataclass(frozen=True)
class PcenParams(SpectrumParams):
    """Settings of `pcen`: (E / (eps + M)^gain + bias)^power - bias^power, where M is E smoothed over time."""

    mel_bins: int = param(64, "mel bands, evenly spaced from low_hz to high_hz", low=1)
    gain: float = param(0.98, "how much of the loudness is taken off: 0 nothing, 1 all", low=0.0, high=1.0)
    bias: float = param(2.0, "added before the root: what is quieter counts little", low=0.0)
    power: float = param(0.5, "of the root", above=0.0, high=1.0)
    time_constant_s: float = param(0.4, "how long the smoothing remembers", above=0.0, high=10.0)
    eps: float = param(1e-6, "keeps the division finite in silence", low=1e-12)
