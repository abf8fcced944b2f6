"""The feature `frame_mn_mel`: its front end and the validation of its params; the layer is in `mel`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pannsdist.contracts import FrontEnd, param
from pannsdist.contracts.param_checks import check_params
from pannsdist.contracts.spectrum_params import front_end_of

if TYPE_CHECKING:
    import paddle

KIND = "frame_mn_mel"


@dataclass(frozen=True)
class MelParams:
    """Settings of `frame_mn_mel`; the defaults are those of the published weights."""

    sample_rate_hz: int = param(16000, "sample rate of the input, Hz")
    window_samples: int = param(400, "length of the Hann window")
    hop_samples: int = param(160, "hop between frames")
    fft_samples: int = param(512, "FFT length")
    mel_bins: int = param(128, "number of mel bands")
    low_hz: float = param(0.0, "lower edge of the lowest band")
    high_hz: float = param(7000.0, "upper edge of the highest band")
    preemphasis: float = param(0.97, "pre-emphasis coefficient")
    floor: float = param(1e-7, "smallest energy of a band")
    shift: float = param(4.5, "added after the logarithm")
    scale: float = param(5.0, "divisor after the shift")


class FrameMnMel:
    """Pre-emphasis, power spectrum, Kaldi's mel triangles, logarithm above a floor, shift and scale."""

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
            ("low_hz", 0 <= params.low_hz < params.high_hz, f"from 0 up to, not including, {params.high_hz:g}"),
            ("floor", params.floor > 0, "above 0"),
            ("scale", params.scale != 0, "anything but 0"),
        )
        check_params("feature.params", params, rules)
        self.params = params

    @property
    def front_end(self) -> FrontEnd:
        """The front end computed by `build`."""
        params = self.params
        return front_end_of(
            params,
            KIND,
            (params.low_hz, params.high_hz),
            params.mel_bins,
            centre="reflect",
            floor=params.floor,
            mel_scale="kaldi",
            power=2.0,
            preemphasis=params.preemphasis,
            scale=params.scale,
            shift=params.shift,
            window="hann_symmetric",
        )

    def build(self) -> paddle.nn.Layer:
        """A layer: waveform (B, S) -> (B, 1, T, F) float32."""
        from pannsdist_frame_mn.mel import MelLayer

        return MelLayer(self.front_end, self.params)
