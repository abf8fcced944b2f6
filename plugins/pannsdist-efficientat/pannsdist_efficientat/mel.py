"""The EfficientAT front end: normalized log-mel features, computed on the device.

Facts from F. Schmid, K. Koutini, G. Widmer, "Efficient Large-Scale Audio Tagging via Transformer-to-CNN Knowledge
Distillation", ICASSP 2023, and its release v0.0.1; the triangles follow the filter bank of Kaldi.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import paddle

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.spectrum import PowerSpectrum, hann, kaldi_bands, windowed_fourier

if TYPE_CHECKING:
    from pannsdist_efficientat.params import MelParams


class MelLayer(paddle.nn.Layer):
    """Waveform (B, S) to normalised log-mel (B, 1, T, F) float32, where T = 1 + (S - 1) // hop_samples.

    Computed in float32 under mixed precision too, and without gradients. S must be at least window_samples // 2 + 2.

    Frames have the window's length instead of being zero-padded to fft_samples as in the original, which changes only
    phases, not the power. In dynamic mode each operation is the fastest of those with the same bits (Paddle 3.3.1 on a
    CPU): gathering blocks, not `paddle.signal.frame` or `unfold`; `flip`, not `F.pad`; adding two squares, not `sum`.
    A product with windowed cosines and sines takes longer, and loses accuracy with TF32 on GPUs.

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
        # The original pads fft_samples // 2 at each end, but its window is 0 beyond half a window.
        self.static_power = PowerSpectrum(fourier, params.hop_samples, pad_samples=params.window_samples // 2)
        self.register_buffer("bank", paddle.to_tensor(bank), persistable=False)

    @paddle.no_grad()
    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) in [-1, 1] at sample_rate_hz -> (B, 1, T, F) float32."""
        with paddle.amp.auto_cast(enable=False):
            params, waveform = self.params, waveform.astype("float32")
            emphasised = waveform[:, 1:] - params.preemphasis * waveform[:, :-1]
            if paddle.in_dynamic_mode():
                energy = paddle.matmul(self.power(emphasised), self.bank)
            else:
                energy = paddle.matmul(self.static_power(emphasised), self.bank[self.used_bins])
            mel = paddle.log(energy + params.log_offset)
            return ((mel + params.shift) / params.scale).unsqueeze(1)

    def power(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Power at every hop: (B, S) -> (B, T, fft_samples / 2 + 1)."""
        params = self.params
        padded = mirrored(waveform, params.window_samples // 2)
        windowed = frames(padded, params.window_samples, params.hop_samples) * self.window
        squares = paddle.as_real(paddle.fft.rfft(windowed, n=params.fft_samples)).square()
        return squares[..., 0] + squares[..., 1]


def mirrored(waveform: paddle.Tensor, samples: int) -> paddle.Tensor:
    """Reflection padding at both ends: (B, S) -> (B, S + 2 samples). Raises ValueError unless S > samples."""
    if waveform.shape[1] <= samples:
        raise ValueError(f"{waveform.shape[1]} samples cannot be padded by reflection with {samples}")
    first, last = waveform[:, 1 : samples + 1].flip(1), waveform[:, -samples - 1 : -1].flip(1)
    return paddle.concat([first, waveform, last], axis=1)


def frames(waveform: paddle.Tensor, window_samples: int, hop_samples: int) -> paddle.Tensor:
    """Overlapping frames of a waveform: (B, S) -> (B, T, window_samples), T = 1 + (S - window_samples) // hop_samples.

    They are gathered in blocks of the largest length that divides window and hop.
    """
    block = math.gcd(window_samples, hop_samples)
    count, blocks = 1 + (waveform.shape[1] - window_samples) // hop_samples, waveform.shape[1] // block
    starts = np.arange(count)[:, None] * (hop_samples // block)
    taken = paddle.to_tensor((starts + np.arange(window_samples // block)).reshape(-1))
    cut = waveform[:, : blocks * block].reshape([-1, blocks, block])
    return paddle.gather(cut, taken, axis=1).reshape([-1, count, window_samples])
