"""The feature `log_spectrogram` for pannsdist, linear in frequency. Importing this module does not import paddle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pannsdist.contracts import UserError, param
from pannsdist.contracts.spectrum_params import SpectrumParams

if TYPE_CHECKING:
    import paddle

__all__ = ["LogSpectrogram", "LogSpectrogramParams"]


@dataclass(frozen=True)
class LogSpectrogramParams(SpectrumParams):
    """Settings of `log_spectrogram`: all FFT bins from `low_hz` to `high_hz` are kept."""

    power_floor: float = param(
        1e-10, "minimum power before the logarithm; the default gives -100 dB for silence", above=0.0
    )

    def bins(self) -> range:
        """The FFT bins that are kept."""
        low, high = (edge_hz * self.fft_samples / self.sample_rate_hz for edge_hz in (self.low_hz, self.highest_hz))
        return range(math.ceil(low), math.floor(high) + 1)


class LogSpectrogram:
    """Power of the short-time Fourier transform in dB."""

    contract = 1
    Params = LogSpectrogramParams

    def __init__(self, params: LogSpectrogramParams) -> None:
        self.bins = params.bins()
        self.params = params
        self.front_end = params.front_end("log_spectrogram", len(self.bins), power_floor=params.power_floor, scale="db")
        if not self.bins:
            spacing_hz = params.sample_rate_hz / params.fft_samples
            wrong = f"no FFT bin is between {params.low_hz:g} and {params.highest_hz:g} Hz"
            right = f"bins are {spacing_hz:g} Hz apart: use wider limits, or a larger feature.params.fft_samples"
            raise UserError(wrong, right)

    def build(self) -> paddle.nn.Layer:
        """A layer (B, S) -> (B, 1, T, F) in dB."""
        from pannsdist_log_spectrogram.decibels import Decibels

        return Decibels(self.front_end, self.bins, self.params.power_floor)
