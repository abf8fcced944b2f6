"""The feature `pcen` for pannsdist: per-channel energy normalisation. Importing this module does not import paddle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannsdist_pcen.params import PcenParams

if TYPE_CHECKING:
    import paddle

__all__ = ["Pcen", "PcenParams"]


class Pcen:
    """Mel spectrum with per-channel energy normalization (PCEN)."""

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
