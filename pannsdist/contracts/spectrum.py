"""For feature plugins: the power spectrum of a waveform as a convolution, which every engine and ONNX know.

This module imports paddle: a plugin imports it in the module of its layer, not in the one that its entry point names.
"""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import nn

__all__ = ["PowerSpectrum", "centred", "hann", "windowed_fourier"]


def hann(samples: int, periodic: bool = True) -> NDArray[np.float64]:
    """A Hann window, (samples,): of a period as for spectra, or symmetric, both ends 0."""
    period = samples if periodic else samples - 1
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(samples) / period))


def centred(window: NDArray[np.float64], fft_samples: int) -> NDArray[np.float64]:
    """The window in the middle of `fft_samples`, zeros around it."""
    whole = np.zeros(fft_samples)
    first = (fft_samples - len(window)) // 2
    whole[first : first + len(window)] = window
    return whole


def windowed_fourier(window: NDArray[np.float64], fft_samples: int, low_bin: int, end_bin: int) -> NDArray[np.float64]:
    """Cosines, then sines, of the bins from `low_bin` up to, not including, `end_bin`, under a window: (2 K, samples).

    A window shorter than `fft_samples` stands for one followed by zeros; where they stand only turns phases.
    """
    angles = 2 * np.pi * np.outer(np.arange(low_bin, end_bin), np.arange(len(window))) / fft_samples
    return np.asarray(np.concatenate([np.cos(angles), -np.sin(angles)]) * window)


class PowerSpectrum(nn.Layer):
    """(B, S) -> (B, T, K): the power of K bins at every hop, where T = 1 + (S + 2 pad - samples) // hop.

    `fourier` (2 K, samples) holds K rows for the real part, then K for the imaginary part, as of `windowed_fourier`;
    whatever else is linear in a frame can be multiplied into it. With `pad_samples` the ends are reflected; S must be
    more than that. Convolution is nearer to float64 than an FFT in float32, and exportable. Always float32.
    """

    def __init__(self, fourier: NDArray[np.floating], hop_samples: int, pad_samples: int = 0) -> None:
        super().__init__()
        self._bins, self._hop_samples, self._pad_samples = len(fourier) // 2, hop_samples, pad_samples
        kernels = paddle.to_tensor(np.ascontiguousarray(fourier[:, None, :], np.float32))
        self.register_buffer("fourier", kernels, persistable=False)

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) -> power (B, T, K)."""
        with paddle.amp.auto_cast(enable=False):
            sound = waveform.unsqueeze(1)
            if self._pad_samples:
                pad = [self._pad_samples, self._pad_samples]
                sound = F.pad(sound, pad, mode="reflect", data_format="NCL")
            spectrum = F.conv1d(sound, self.fourier, stride=self._hop_samples)
            real, imaginary = spectrum[:, : self._bins], spectrum[:, self._bins :]
            return (real * real + imaginary * imaginary).transpose([0, 2, 1])
