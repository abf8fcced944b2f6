"""The feature plugin `logmel`: what PANNs hear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pannsdist.contracts import FrontEnd, UserError, param

if TYPE_CHECKING:
    import paddle


@dataclass(frozen=True)
class LogMelParams:
    """Defaults are those of the 32 kHz PANNs."""

    sample_rate_hz: int = param(32000, "rate that every sound is brought to")
    window_samples: int = param(1024, "length of the Hann window")
    hop_samples: int = param(320, "from one frame to the next")
    fft_samples: int = param(1024, "length of the transform")
    mel_bins: int = param(64, "mel bands")
    low_hz: float = param(50.0, "lower edge of the lowest band")
    high_hz: float = param(14000.0, "upper edge of the highest band")

    def __post_init__(self) -> None:
        for name in ("sample_rate_hz", "window_samples", "hop_samples", "fft_samples", "mel_bins"):
            if getattr(self, name) < 1:
                raise UserError(f"feature.params.{name} is {getattr(self, name)}", "allowed: 1 or more")
        if self.window_samples > self.fft_samples:
            wrong = f"feature.params.window_samples is {self.window_samples}, longer than fft_samples"
            raise UserError(wrong, f"allowed: 1 to {self.fft_samples}")
        if not 0 <= self.low_hz < self.high_hz <= self.sample_rate_hz / 2:
            wrong = f"feature.params.low_hz to high_hz is {self.low_hz} to {self.high_hz} Hz"
            raise UserError(wrong, f"allowed: 0 to {self.sample_rate_hz / 2:g} Hz, the lower one first")


class LogMel:
    """Log-mel spectrum in dB, as PANNs were trained on it."""

    Params = LogMelParams

    def __init__(self, params: LogMelParams) -> None:
        self.front_end = FrontEnd(
            kind="logmel",
            sample_rate_hz=params.sample_rate_hz,
            window_samples=params.window_samples,
            hop_samples=params.hop_samples,
            fft_samples=params.fft_samples,
            bins=params.mel_bins,
            low_hz=params.low_hz,
            high_hz=params.high_hz,
            details=(
                ("mel", "slaney"),
                ("pad", "reflect"),
                ("power_floor", 1e-10),
                ("scale", "db"),
                ("window", "hann"),
            ),
        )

    def build(self) -> paddle.nn.Layer:
        """(B, S) -> (B, 1, T, F) in dB."""
        from pannsdist.builtin.spectrum import LogMelSpectrum

        return LogMelSpectrum(self.front_end)
