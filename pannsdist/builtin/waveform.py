"""Feature plugin `waveform`: raw samples, for networks with learned front ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pannsdist.contracts import FrontEnd, UserError, param

if TYPE_CHECKING:
    import paddle


@dataclass(frozen=True)
class WaveformParams:
    """The default is the sample rate of the 32 kHz PANNs."""

    sample_rate_hz: int = param(32000, "sample rate in Hz, to which audio is resampled")

    def __post_init__(self) -> None:
        if self.sample_rate_hz < 1:
            raise UserError(f"feature.params.sample_rate_hz is {self.sample_rate_hz}", "allowed: 1 or more")


class Waveform:
    """Every sample is a frame with one bin."""

    Params = WaveformParams

    def __init__(self, params: WaveformParams) -> None:
        self.front_end = FrontEnd(
            kind="waveform",
            sample_rate_hz=params.sample_rate_hz,
            window_samples=1,
            hop_samples=1,
            fft_samples=1,
            bins=1,
            low_hz=0.0,
            high_hz=params.sample_rate_hz / 2,
        )

    def build(self) -> paddle.nn.Layer:
        """(B, S) -> (B, 1, S, 1) in [-1, 1]."""
        from pannsdist.builtin.samples import SamplesAsFrames

        return SamplesAsFrames()
