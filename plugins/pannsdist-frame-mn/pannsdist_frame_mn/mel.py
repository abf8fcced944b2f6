"""The front end of EfficientSED's MobileNets: a normalised log-mel, computed on the device as a convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import paddle

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.spectrum import PowerSpectrum, hann, kaldi_bands, windowed_fourier

if TYPE_CHECKING:
    from pannsdist_frame_mn.feature import MelParams


class MelLayer(paddle.nn.Layer):
    """Waveform (B, S) to normalised log-mel (B, 1, T, F) float32, where T = 1 + (S - 2) // hop_samples.

    Computed in float32 under mixed precision too, and without gradients. S must be at least window_samples // 2 + 2.
    Bins that no band covers are not computed; a window shorter than the transform changes phases alone.
    """

    def __init__(self, front_end: FrontEnd, params: MelParams) -> None:
        super().__init__()
        self.params = params
        bank = kaldi_bands(front_end, front_end.bins).T
        used = np.flatnonzero(bank.any(axis=1))
        low, end = int(used[0]), int(used[-1]) + 1
        window = hann(params.window_samples, periodic=False)
        fourier = windowed_fourier(window, params.fft_samples, low, end)
        self.power = PowerSpectrum(fourier, params.hop_samples, pad_samples=params.window_samples // 2)
        self.register_buffer("bank", paddle.to_tensor(bank[low:end].astype(np.float32)), persistable=False)

    @paddle.no_grad()
    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) in [-1, 1] at sample_rate_hz -> (B, 1, T, F) float32."""
        with paddle.amp.auto_cast(enable=False):
            params, waveform = self.params, waveform.astype("float32")
            emphasised = waveform[:, 1:] - params.preemphasis * waveform[:, :-1]
            energy = paddle.matmul(self.power(emphasised), self.bank)
            mel = paddle.log(paddle.clip(energy, min=params.floor))
            return ((mel + params.shift) / params.scale).unsqueeze(1)
