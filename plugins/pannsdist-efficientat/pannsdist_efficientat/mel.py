"""The EfficientAT front end: normalized log-mel features, computed on the device.

Facts from F. Schmid, K. Koutini, G. Widmer, "Efficient Large-Scale Audio Tagging via Transformer-to-CNN Knowledge
Distillation", ICASSP 2023, and its release v0.0.1; the triangles follow the filter bank of Kaldi.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import paddle
from paddle.nn import functional as F

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.spectrum import PowerSpectrum, hann, kaldi_bands, windowed_fourier

if TYPE_CHECKING:
    from pannsdist_efficientat.params import MelParams


class MelLayer(paddle.nn.Layer):
    """Waveform (B, S) to normalised log-mel (B, 1, T, F) float32, where T = 1 + (S - 1) // hop_samples.

    Computed in float32 under mixed precision too, and without gradients. S must be at least window_samples // 2 + 2.

    Frames have the window's length instead of being zero-padded to fft_samples as in the original, which changes only
    phases, not the power. Measured on 2 CPU cores, 16 clips of 5 s, Paddle 3.3.1: 121 ms, 227 ms with
    `paddle.signal.stft`, 233 ms as a product with windowed cosines and sines, which also loses accuracy with TF32 on
    GPUs. `Tensor.unfold` takes half the time of `paddle.signal.frame`, but fails in a static graph (Paddle 2.6.2,
    3.3.1). `square()` is used because `** 2` took as long as everything else (3.3.1).

    In a static graph the transform is that product, as one convolution over the bins covered by the mel filters: it can
    be exported to ONNX, and avoids `rfft`, whose padding crashes Paddle Inference with oneDNN (2.6.2, 3.3.1). The log
    values differ by 1e-5 at most.
    """

    def __init__(self, front_end: FrontEnd, params: MelParams) -> None:
        super().__init__()
        self.params = params
        window = hann(params.window_samples, periodic=False)
        self.register_buffer("window", paddle.to_tensor(window.astype(np.float32)), persistable=False)
        bank = kaldi_bands(front_end, front_end.bins).T.astype(np.float32)
        used = np.flatnonzero(bank.any(axis=1))
        self.used_bins = slice(int(used[0]), int(used[-1]) + 1)
        fourier = windowed_fourier(window, params.fft_samples, self.used_bins.start, self.used_bins.stop)
        self.static_power = PowerSpectrum(fourier, params.hop_samples)
        self.register_buffer("bank", paddle.to_tensor(bank), persistable=False)

    @paddle.no_grad()
    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) in [-1, 1] at sample_rate_hz -> (B, 1, T, F) float32."""
        with paddle.amp.auto_cast(enable=False):
            params = self.params
            padded = self.padded(waveform.astype("float32"))
            if paddle.in_dynamic_mode():
                energy = paddle.matmul(self.power(padded), self.bank)
            else:
                energy = paddle.matmul(self.static_power(padded), self.bank[self.used_bins])
            mel = paddle.log(energy + params.log_offset)
            return ((mel + params.shift) / params.scale).unsqueeze(1)

    def power(self, padded: paddle.Tensor) -> paddle.Tensor:
        """Power at every hop: (B, S) -> (B, T, fft_samples / 2 + 1)."""
        params = self.params
        framed = paddle.signal.frame(padded, params.window_samples, params.hop_samples, axis=-1)
        spectrum = paddle.fft.rfft(framed.transpose([0, 2, 1]) * self.window, n=params.fft_samples)
        return paddle.as_real(spectrum).square().sum(axis=-1)

    def padded(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Pre-emphasis, then reflection padding of half a window at both ends: (B, S) -> (B, S')."""
        params = self.params
        emphasised = waveform[:, 1:] - params.preemphasis * waveform[:, :-1]
        # The original pads fft_samples // 2 at each end, but its window is 0 beyond half a window.
        half = params.window_samples // 2
        return F.pad(emphasised.unsqueeze(1), [half, half], mode="reflect", data_format="NCL").squeeze(1)
