"""The feature `efficientat_mel`: its params, its front end, and what is refused; the layer itself is in `mel`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pannsdist.contracts import FrontEnd, UserError, param

if TYPE_CHECKING:
    import paddle

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


def refuse(key: str, value: object, right: str, default: object) -> UserError:
    """A param that cannot be what it is."""
    return UserError(f"{key} is {value!r}", f"allowed: {right}", f"the same command with {key}={default}")


class EfficientAtMel:
    """Pre-emphasis, power spectrum, Kaldi's mel triangles, logarithm, shift and scale."""

    Params = MelParams

    def __init__(self, params: MelParams) -> None:
        half_rate_hz = params.sample_rate_hz / 2
        rules = (
            ("sample_rate_hz", params.sample_rate_hz > 0, "above 0"),
            ("fft_samples", params.fft_samples > 0 and params.fft_samples % 2 == 0, "even numbers above 0"),
            (
                "window_samples",
                0 < params.window_samples <= params.fft_samples and params.window_samples % 2 == 0,
                f"even numbers from 2 up to fft_samples ({params.fft_samples})",
            ),
            ("hop_samples", params.hop_samples > 0, "above 0"),
            ("mel_bins", params.mel_bins > 0, "above 0"),
            ("high_hz", 0 < params.high_hz <= half_rate_hz, f"above 0 up to half the sample rate ({half_rate_hz:g})"),
            (
                "low_hz",
                0 <= params.low_hz < params.high_hz,
                f"from 0 up to, not including, high_hz ({params.high_hz:g})",
            ),
            ("log_offset", params.log_offset > 0, "above 0"),
            ("scale", params.scale != 0, "anything but 0"),
        )
        for name, kept, right in rules:
            if not kept:
                raise refuse(f"feature.params.{name}", getattr(params, name), right, getattr(MelParams, name))
        self.params = params

    @property
    def front_end(self) -> FrontEnd:
        """What `build` computes."""
        params = self.params
        return FrontEnd(
            kind=KIND,
            sample_rate_hz=params.sample_rate_hz,
            window_samples=params.window_samples,
            hop_samples=params.hop_samples,
            fft_samples=params.fft_samples,
            bins=params.mel_bins,
            low_hz=params.low_hz,
            high_hz=params.high_hz,
            details=(
                ("centre", "reflect"),
                ("log_offset", params.log_offset),
                ("mel_scale", "kaldi"),
                ("power", 2.0),
                ("preemphasis", params.preemphasis),
                ("scale", params.scale),
                ("shift", params.shift),
                ("window", "hann_symmetric"),
            ),
        )

    def build(self) -> paddle.nn.Layer:
        """A layer: waveform (B, S) -> (B, 1, T, F) float32."""
        from pannsdist_efficientat.mel import MelLayer

        return MelLayer(self.front_end, self.params)
