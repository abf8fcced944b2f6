"""The params of the feature `efficientat_mel`."""

from __future__ import annotations

from dataclasses import dataclass

from pannsdist.contracts import param

KIND = "efficientat_mel"


@dataclass(frozen=True)
class MelParams:
    """Settings of `efficientat_mel`; the defaults are what the published weights expect."""

    sample_rate_hz: int = param(32000, "rate that every sound is brought to")
    window_samples: int = param(800, "length of the Hann window")
    hop_samples: int = param(320, "from one frame to the next")
    fft_samples: int = param(1024, "length of the transform")
    mel_bins: int = param(128, "mel bands")
    low_hz: float = param(0.0, "lower edge of the lowest band")
    high_hz: float = param(15000.0, "upper edge of the highest band")
    preemphasis: float = param(0.97, "share of the sample before that is taken off")
    log_offset: float = param(1e-5, "added before the logarithm")
    shift: float = param(4.5, "added after it")
    scale: float = param(5.0, "what that is divided by")
