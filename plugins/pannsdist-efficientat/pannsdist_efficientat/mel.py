"""The EfficientAT front end: a waveform becomes a normalised log-mel image, on the device.

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

    Each frame is cut to the window instead of zero-padded to fft_samples as in the original: that only turns phases, so
    the power is the same. Measured on 2 CPU cores, 16 clips of 5 s, Paddle 3.3.1: 121 ms so, 227 ms through
    `paddle.signal.stft`, 233 ms as a product with windowed cosines and sines, which besides loses accuracy to TF32 on
    GPUs that have it. `Tensor.unfold` frames in half the time of `paddle.signal.frame`, but not in a static graph
    (Paddle 2.6.2, 3.3.1). `square()`, because `** 2` took as long as all the rest (3.3.1).

    In a static graph the transform is that product, as one convolution, of the bins that some triangle hears: ONNX
    knows it, and Paddle Inference has oneDNN for it, whose padding inside `rfft` ends the process (2.6.2, 3.3.1).
    Logarithms differ by 1e-5 at most.
    """

    def __init__(self, front_end: FrontEnd, params: MelParams) -> None:
        super().__init__()
        self.params = params
        window = hann(params.window_samples, periodic=False)
        self.register_buffer("window", paddle.to_tensor(window.astype(np.float32)), persistable=False)
        bank = kaldi_bands(front_end, front_end.bins).T.astype(np.float32)
        heard = np.flatnonzero(bank.any(axis=1))
        self.heard = slice(int(heard[0]), int(heard[-1]) + 1)
        fourier = windowed_fourier(window, params.fft_samples, self.heard.start, self.heard.stop)
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
                energy = paddle.matmul(self.static_power(padded), self.bank[self.heard])
            mel = paddle.log(energy + params.log_offset)
            return ((mel + params.shift) / params.scale).unsqueeze(1)

    def power(self, padded: paddle.Tensor) -> paddle.Tensor:
        """Power at every hop: (B, S) -> (B, T, fft_samples / 2 + 1)."""
        params = self.params
        framed = paddle.signal.frame(padded, params.window_samples, params.hop_samples, axis=-1)
        spectrum = paddle.fft.rfft(framed.transpose([0, 2, 1]) * self.window, n=params.fft_samples)
        return paddle.as_real(spectrum).square().sum(axis=-1)

    def padded(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Pre-emphasised and reflected at both ends by half a window: (B, S) -> (B, S')."""
        params = self.params
        emphasised = waveform[:, 1:] - params.preemphasis * waveform[:, :-1]
        # The original reflects fft_samples // 2 at each end, but its window is 0 on what exceeds half a window.
        half = params.window_samples // 2
        return F.pad(emphasised.unsqueeze(1), [half, half], mode="reflect", data_format="NCL").squeeze(1)
