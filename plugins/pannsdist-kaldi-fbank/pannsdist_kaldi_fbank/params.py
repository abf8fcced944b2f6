"""The params of the feature `kaldi_fbank`."""

from __future__ import annotations

from dataclasses import dataclass

from pannsdist.contracts import param
from pannsdist.contracts.param_checks import check_params

KIND = "kaldi_fbank"
WINDOWS = ("povey", "hanning", "hamming", "rectangular")


@dataclass(frozen=True)
class FbankParams:
    """Settings of `kaldi_fbank`; the defaults are Kaldi's for 16 kHz, with 80 bands and samples in [-1, 1]."""

    sample_rate_hz: int = param(16000, "sample rate of the input, Hz", low=1)
    window_samples: int = param(400, "length of the window", low=2)
    hop_samples: int = param(160, "hop between frames", low=1)
    fft_samples: int = param(512, "FFT length; Kaldi uses the next power of 2", low=2)
    mel_bins: int = param(80, "number of mel bands", low=1)
    low_hz: float = param(20.0, "lower edge of the lowest band", low=0)
    high_hz: float = param(8000.0, "upper edge of the highest band", above=0)
    window: str = param("povey", "window function", choices=WINDOWS)
    preemphasis: float = param(0.97, "pre-emphasis coefficient, applied per frame", low=0, high=1)
    remove_dc: bool = param(True, "subtract the mean of each frame")
    snip_edges: bool = param(True, "only complete frames; otherwise one frame per hop, with mirrored ends")
    sample_scale: float = param(1.0, "factor for samples in [-1, 1]; Kaldi uses 32768", above=0)
    shift: float = param(0.0, "added after the logarithm")
    scale: float = param(1.0, "divisor after the shift", above=0)

    def __post_init__(self) -> None:
        half_rate_hz = self.sample_rate_hz / 2
        rules = (
            ("sample_rate_hz", self.sample_rate_hz >= 1, "1 or more"),
            ("window_samples", self.window_samples >= 2, "2 or more"),
            ("fft_samples", self.fft_samples >= self.window_samples, f"window_samples ({self.window_samples}) or more"),
            ("fft_samples", self.fft_samples % 2 == 0, "even numbers"),
            ("hop_samples", self.hop_samples >= 1, "1 or more"),
            ("hop_samples", self.snip_edges or self.hop_samples <= self.window_samples, "up to window_samples"),
            ("mel_bins", self.mel_bins >= 1, "1 or more"),
            ("high_hz", 0 < self.high_hz <= half_rate_hz, f"above 0 up to half the sample rate ({half_rate_hz:g})"),
            ("low_hz", 0 <= self.low_hz < self.high_hz, f"from 0 up to, not including, high_hz ({self.high_hz:g})"),
            ("window", self.window in WINDOWS, ", ".join(WINDOWS)),
            ("sample_scale", self.sample_scale > 0, "above 0"),
            ("scale", self.scale > 0, "above 0"),
        )
        check_params("feature.params", self, rules)
