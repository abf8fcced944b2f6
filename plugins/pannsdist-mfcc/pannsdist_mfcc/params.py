"""The params of the feature `mfcc`."""

from __future__ import annotations

from dataclasses import dataclass

from pannsdist.contracts import param
from pannsdist.contracts.spectrum_params import SpectrumParams


@dataclass(frozen=True)
class MfccParams(SpectrumParams):
    """Settings of `mfcc`."""

    mel_bins: int = param(64, "mel bands, evenly spaced from low_hz to high_hz", low=1)
    coefficients: int = param(40, "how many of them are kept, from the lowest on; mel_bins at most", low=1)
    mel: str = param("slaney", "which mel scale", choices=("slaney", "htk"))
    range_db: float = param(80.0, "power this far below the clip's greatest is raised to that; 0: it is not", low=0.0)
