"""The EfficientAT front end: a waveform becomes a normalised log-mel image, on the device.

Facts from F. Schmid, K. Koutini, G. Widmer, "Efficient Large-Scale Audio Tagging via Transformer-to-CNN Knowledge
Distillation", ICASSP 2023, and its release v0.0.1; the triangles follow the filter bank of Kaldi.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import paddle
from paddle.nn import functional as F

if TYPE_CHECKING:
    from pannsdist_efficientat.feature import MelParams


def kaldi_bank(params: MelParams) -> np.ndarray:
    """Triangles of equal width in mel = 1127 ln(1 + f / 700), not normalised by area: (fft_samples / 2 + 1, F) float32.

    The last FFT bin, at half the sample rate, has weight 0, as in Kaldi. Computed in float64.
    """
    bin_hz = np.arange(params.fft_samples // 2) * (params.sample_rate_hz / params.fft_samples)
    mel = 1127.0 * np.log1p(bin_hz / 700.0)[:, None]
    low, high = 1127.0 * np.log1p(np.array([params.low_hz, params.high_hz]) / 700.0)
    edges = np.linspace(low, high, params.mel_bins + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((mel - left) / (centre - left), (right - mel) / (right - centre))
    return np.pad(np.maximum(triangles, 0.0), ((0, 1), (0, 0))).astype(np.float32)


def windowed_fourier(window: np.ndarray, fft_samples: int, bins: slice) -> np.ndarray:
    """Cosines, then sines, of some bins under the window: (2 K, 1, window_samples) float32."""
    angles = 2 * np.pi * np.outer(np.arange(bins.start, bins.stop), np.arange(len(window))) / fft_samples
    return (np.concatenate([np.cos(angles), np.sin(angles)]) * window)[:, None, :].astype(np.float32)


class MelLayer(paddle.nn.Layer):
    """Waveform (B, S) to normalised log-mel (B, 1, T, F) float32, where T = 1 + (S - 1) // hop_samples.

    Computed in float32 under mixed precision too, and without gradients. S must be at least window_samples // 2 + 2.

    Each frame is cut to the window instead of zero-padded to fft_samples as in the original: that only turns phases, so
    the power is the same. Measured on 2 CPU cores, 16 clips of 5 s, Paddle 3.3.1: 121 ms so, 227 ms through
    `paddle.signal.stft`, 233 ms as a product with windowed cosines and sines, which besides loses accuracy to TF32 on
    GPUs that have it. `Tensor.unfold` frames in half the time of `paddle.signal.frame`, but not in a static graph
    (Paddle 2.6.2, 3.3.1). `square()`, because `** 2` took as long as all the rest (3.3.1).

    In a static graph the transform is that product, as one convolution: ONNX knows it, and Paddle Inference has oneDNN
    for it, whose padding inside `rfft` ends the process (2.6.2, 3.3.1). Logarithms differ by 1e-5 at most.
    """

    def __init__(self, params: MelParams) -> None:
        super().__init__()
        self.params = params
        window = np.hanning(params.window_samples).astype(np.float32)
        self.register_buffer("window", paddle.to_tensor(window), persistable=False)
        bank = kaldi_bank(params)
        heard = np.flatnonzero(bank.any(axis=1))
        self.heard = slice(int(heard[0]), int(heard[-1]) + 1)
        fourier = windowed_fourier(window, params.fft_samples, self.heard)
        self.register_buffer("bank", paddle.to_tensor(bank), persistable=False)
        self.register_buffer("fourier", paddle.to_tensor(fourier), persistable=False)

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
        """Power at every hop: (B, 1, S) -> (B, T, fft_samples / 2 + 1)."""
        params = self.params
        framed = paddle.signal.frame(padded.squeeze(1), params.window_samples, params.hop_samples, axis=-1)
        spectrum = paddle.fft.rfft(framed.transpose([0, 2, 1]) * self.window, n=params.fft_samples)
        return paddle.as_real(spectrum).square().sum(axis=-1)

    def static_power(self, padded: paddle.Tensor) -> paddle.Tensor:
        """The same as a convolution, of the K bins that some triangle hears: (B, 1, S) -> (B, T, K)."""
        spectrum = F.conv1d(padded, self.fourier, stride=self.params.hop_samples).square()
        bins = self.heard.stop - self.heard.start
        return (spectrum[:, :bins] + spectrum[:, bins:]).transpose([0, 2, 1])

    def padded(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Pre-emphasised and reflected at both ends by half a window: (B, S) -> (B, 1, S')."""
        params = self.params
        emphasised = waveform[:, 1:] - params.preemphasis * waveform[:, :-1]
        # The original reflects fft_samples // 2 at each end, but its window is 0 on what exceeds half a window.
        half = params.window_samples // 2
        return F.pad(emphasised.unsqueeze(1), [half, half], mode="reflect", data_format="NCL")
