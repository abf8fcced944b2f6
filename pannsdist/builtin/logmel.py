"""Feature plugin `logmel`: the log-mel spectrogram of PANNs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pannsdist.contracts import param
from pannsdist.contracts.spectrum_params import SpectrumParams

if TYPE_CHECKING:
    import paddle


@dataclass(frozen=True)
class LogMelParams(SpectrumParams):
    """Defaults are those of the 32 kHz PANNs."""

    mel_bins: int = param(64, "number of mel bands", low=1)


class LogMel:
    """Log-mel spectrogram in dB, as in the training of PANNs."""

    Params = LogMelParams

    def __init__(self, params: LogMelParams) -> None:
        self.front_end = params.front_end("logmel", params.mel_bins, mel="slaney", power_floor=1e-10, scale="db")

    def build(self) -> paddle.nn.Layer:
        """(B, S) -> (B, 1, T, F) in dB."""
        from pannsdist.builtin.spectrum import LogMelSpectrum

        return LogMelSpectrum(self.front_end)
