"""The feature `gammatone` for pannsdist, a model of cochlear filters. Importing this module does not import paddle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pannsdist.contracts import param
from pannsdist.contracts.spectrum_params import SpectrumParams

if TYPE_CHECKING:
    import paddle

__all__ = ["Gammatone", "GammatoneParams"]


@dataclass(frozen=True)
class GammatoneParams(SpectrumParams):
    """Settings of `gammatone`: filters are centred from `low_hz` to `high_hz`, both included."""

    fft_samples: int = param(2048, "FFT length; twice the window resolves the lowest filters", low=2)
    low_hz: float = param(50.0, "centre frequency of the lowest filter", above=0.0)
    high_hz: float | None = param(
        None,
        "centre frequency of the highest filter; null is 14000, or half the sample rate where that is lower",
        above=0.0,
    )
    filters: int = param(64, "number of gammatone filters, evenly spaced on the ERB scale", low=1)


class Gammatone:
    """Output power of a gammatone filter bank in dB."""

    contract = 1
    Params = GammatoneParams

    def __init__(self, params: GammatoneParams) -> None:
        self.front_end = params.front_end(
            "gammatone", params.filters, erb="glasberg_moore_1990", order=4, power_floor=1e-10, scale="db"
        )

    def build(self) -> paddle.nn.Layer:
        """A layer (B, S) -> (B, 1, T, F) in dB."""
        from pannsdist_gammatone.filters import FilterBank

        return FilterBank(self.front_end)
