"""Kaldi's filter bank as a Paddle layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.spectrum import PowerSpectrum, hann, kaldi_bands, windowed_fourier

if TYPE_CHECKING:
    from pannsdist_kaldi_fbank.params import FbankParams

ENERGY_FLOOR = float(np.finfo(np.float32).eps)
"""Kaldi's floor before the logarithm."""


def window_of(name: str, samples: int) -> NDArray[np.float64]:
    """Kaldi's symmetric window functions: (samples,)."""
    if name == "rectangular":
        return np.ones(samples)
    raised = hann(samples, periodic=False)
    if name == "povey":
        return raised**0.85
    return raised if name == "hanning" else 0.08 + 0.92 * raised


def preprocessing_matrix(params: FbankParams) -> NDArray[np.float64]:
    """Scaling, mean removal and pre-emphasis of a frame, as a matrix (window_samples, window_samples).

    The mean is removed first; the first sample is its own predecessor in pre-emphasis.
    """
    size = params.window_samples
    emphasis = np.eye(size) - params.preemphasis * np.eye(size, k=-1)
    emphasis[0, 0] -= params.preemphasis
    centring = np.eye(size) - 1.0 / size if params.remove_dc else np.eye(size)
    return np.asarray(params.sample_scale * emphasis @ centring)


class Fbank(nn.Layer):
    """(B, S) -> (B, 1, T, F): T = 1 + (S - window) // hop, or (S + hop // 2) // hop without `snip_edges`.

    Mean removal, pre-emphasis and window are linear, so they are folded into the transform's kernels, in float64. Only
    FFT bins covered by a mel filter are computed. Always float32.
    """

    def __init__(self, front_end: FrontEnd, params: FbankParams) -> None:
        super().__init__()
        bank = kaldi_bands(front_end, front_end.bins).T
        used = np.flatnonzero(bank.any(axis=1))
        # Bands narrower than the FFT bins may cover none; one bin of weight 0 then gives the floor.
        low, end = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
        window = window_of(params.window, params.window_samples)
        fourier = windowed_fourier(window, params.fft_samples, low, end) @ preprocessing_matrix(params)
        self.power = PowerSpectrum(fourier, params.hop_samples)
        self.register_buffer("bank", paddle.to_tensor(bank[low:end].astype(np.float32)), persistable=False)
        self._shift, self._scale, self._remove_dc = params.shift, params.scale, params.remove_dc
        self._mirrored = (0, 0) if params.snip_edges else _mirrored(params.window_samples, params.hop_samples)

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) in [-1, 1] -> (B, 1, T, F); S must be at least window_samples."""
        with paddle.amp.auto_cast(enable=False):
            if self._remove_dc:
                # Does not change the result, since each frame's mean is removed, but avoids loss of float32 precision
                # for a constant offset: errors up to 12 for an offset of 0.5 at a sample scale of 32768.
                waveform = waveform - waveform.mean(axis=1, keepdim=True)
            before, after = self._mirrored
            if before or after:
                first, last = waveform[:, :before].flip(1), waveform[:, -after:].flip(1)
                waveform = paddle.concat([first, waveform, last], axis=1)
            energy = paddle.matmul(self.power(waveform), self.bank)
            mel = paddle.log(paddle.clip(energy, min=ENERGY_FLOOR))
            return ((mel + self._shift) / self._scale).unsqueeze(1)


def _mirrored(window_samples: int, hop_samples: int) -> tuple[int, int]:
    """Samples to mirror before and after the signal, so that frames are centred on the hops."""
    before = window_samples // 2 - hop_samples // 2
    return before, window_samples - hop_samples + hop_samples // 2 - before
