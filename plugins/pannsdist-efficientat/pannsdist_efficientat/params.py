"""The params of the feature `efficientat_mel`."""

from __future__ import annotations

from dataclasses import dataclass

from pannsdist.contracts import param

KIND = "efficientat_mel"


@dataclass(frozen=True)
class MelParams:
    """Settings of `efficientat_mel`; the defaults are those of the published weights."""

    sample_rate_hz: int = param(32000, "sample rate of the input, Hz")
    window_samples: int = param(800, "length of the Hann window")
    hop_samples: int = param(320, "hop between frames")
    fft_samples: int = param(1024, "FFT length")
    mel_bins: int = param(128, "number of mel bands")
    low_hz: float = param(0.0, "lower edge of the lowest band")
    high_hz: float = param(15000.0, "upper edge of the highest band")
    preemphasis: float = param(0.97, "pre-emphasis coefficient")
    log_offset: float = param(1e-5, "added before the logarithm")
    shift: float = param(4.5, "added after the logarithm")
    scale: float = param(5.0, "divisor after the shift")
