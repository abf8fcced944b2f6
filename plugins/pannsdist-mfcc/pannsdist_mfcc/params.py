"""The params of the feature `mfcc`."""

from __future__ import annotations

from dataclasses import dataclass

from pannsdist.contracts import param
from pannsdist.contracts.spectrum_params import SpectrumParams


@dataclass(frozen=True)
class MfccParams(SpectrumParams):
    """Settings of `mfcc`."""

    mel_bins: int = param(64, "number of mel bands, evenly spaced from low_hz to high_hz", low=1)
    coefficients: int = param(40, "number of coefficients; mel_bins at most", low=1)
    mel: str = param("slaney", "mel scale", choices=("slaney", "htk"))
    range_db: float = param(
        80.0, "dynamic range below the maximum of each clip, to which power is clipped; 0: no clipping", low=0.0
    )
