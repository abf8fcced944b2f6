"""The params of the feature `pcen`."""

from __future__ import annotations

from dataclasses import dataclass

from pannsdist.contracts import param
from pannsdist.contracts.spectrum_params import SpectrumParams


@dataclass(frozen=True)
class PcenParams(SpectrumParams):
    """Settings of `pcen`: (E / (eps + M)^gain + bias)^power - bias^power, where M is E smoothed over time."""

    mel_bins: int = param(64, "number of mel bands, evenly spaced from low_hz to high_hz", low=1)
    gain: float = param(0.98, "strength of gain normalization: 0 none, 1 full", low=0.0, high=1.0)
    bias: float = param(2.0, "offset before the power, which suppresses quieter energy", low=0.0)
    power: float = param(0.5, "exponent of the compression", above=0.0, high=1.0)
    time_constant_s: float = param(0.4, "time constant of the smoothing", above=0.0, high=10.0)
    eps: float = param(1e-6, "added to the smoothed energy, against division by zero", low=1e-12)
