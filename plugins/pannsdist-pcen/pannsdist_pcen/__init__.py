"""The feature `pcen` for pannsdist: per-channel energy normalisation. Importing this module does not import paddle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pannsdist.contracts import param
from pannsdist.contracts.spectrum_params import SpectrumParams

if TYPE_CHECKING:
    import paddle

__all__ = ["Pcen", "PcenParams"]


@dataclass(frozen=True)
class PcenParams(SpectrumParams):
    """Settings of `pcen`: (E / (eps + M)^gain + bias)^power - bias^power, where M is E smoothed over time."""

    mel_bins: int = param(64, "mel bands, evenly spaced from low_hz to high_hz", low=1)
    gain: float = param(0.98, "how much of the loudness is taken off: 0 nothing, 1 all", low=0.0, high=1.0)
    bias: float = param(2.0, "added before the root: what is quieter counts little", low=0.0)
    power: float = param(0.5, "of the root", above=0.0, high=1.0)
    time_constant_s: float = param(0.4, "how long the smoothing remembers", above=0.0, high=10.0)
    eps: float = param(1e-6, "keeps the division finite in silence", low=1e-12)


class Pcen:
    """Mel spectrum whose bands are each normalised by their own recent loudness."""

    contract = 1
    Params = PcenParams

    def __init__(self, params: PcenParams) -> None:
        self.params = params
        self.front_end = params.front_end(
            "pcen",
            params.mel_bins,
            bias=params.bias,
            eps=params.eps,
            first_state=1.0,
            full_scale=2.0**31,
            gain=params.gain,
            mel="slaney",
            power=params.power,
            spectrum="magnitude",
            time_constant_s=params.time_constant_s,
        )

    def build(self) -> paddle.nn.Layer:
        """A layer (B, S) -> (B, 1, T, F), 0 or more."""
        from pannsdist_pcen.normalisation import NormalisedMel

        return NormalisedMel(self.front_end, self.params)
