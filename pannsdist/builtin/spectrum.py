"""The log-mel spectrum as a Paddle layer."""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
from librosa.filters import mel as mel_bands
from paddle import nn

from pannsdist.contracts import FrontEnd

POWER_FLOOR = 1e-10


def windowed_fourier(fft_samples: int, window_samples: int, low_bin: int, end_bin: int) -> np.ndarray:
    """Cosines, then sines, of `low_bin` to `end_bin` under a centred periodic Hann window: (2K, 1, fft_samples)."""
    time = np.arange(fft_samples)
    window = np.zeros(fft_samples)
    first = (fft_samples - window_samples) // 2
    window[first : first + window_samples] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_samples) / window_samples)
    angles = 2 * np.pi * np.outer(np.arange(low_bin, end_bin), time) / fft_samples
    return (np.concatenate([np.cos(angles), -np.sin(angles)]) * window)[:, None, :].astype(np.float32)


class LogMelSpectrum(nn.Layer):
    """(B, S) -> (B, 1, T, F) in dB, T = 1 + S // hop: the front end of PANNs (Kong et al. 2020, torchlibrosa).

    Frames are centred and the ends reflected; power, Slaney mel bands of unit area, 10 log10 with a floor of 1e-10, so
    that silence is -100 dB. The transform is a convolution with windowed cosines and sines, as in the original: nearer
    to its numbers than an FFT, and exportable. Only bins that some mel band hears are computed. Always float32.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        super().__init__()
        mel = mel_bands(
            sr=front_end.sample_rate_hz,
            n_fft=front_end.fft_samples,
            n_mels=front_end.bins,
            fmin=front_end.low_hz,
            fmax=front_end.high_hz,
        ).astype(np.float32)
        heard = np.flatnonzero(mel.any(axis=0))
        low, end = int(heard[0]), int(heard[-1]) + 1
        fourier = windowed_fourier(front_end.fft_samples, front_end.window_samples, low, end)
        self._bins = end - low
        self._hop_samples = front_end.hop_samples
        self._pad = front_end.fft_samples // 2
        self.register_buffer("fourier", paddle.to_tensor(fourier), persistable=False)
        self.register_buffer("mel", paddle.to_tensor(np.ascontiguousarray(mel[:, low:end].T)), persistable=False)

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) in [-1, 1] -> log-mel (B, 1, T, F) in dB."""
        with paddle.amp.auto_cast(enable=False):
            padded = F.pad(waveform.unsqueeze(1), [self._pad, self._pad], mode="reflect", data_format="NCL")
            spectrum = F.conv1d(padded, self.fourier, stride=self._hop_samples)
            real, imaginary = spectrum[:, : self._bins], spectrum[:, self._bins :]
            power = (real * real + imaginary * imaginary).transpose([0, 2, 1])
            heard = paddle.matmul(power, self.mel)
            return (10.0 * paddle.log10(paddle.clip(heard, min=POWER_FLOOR))).unsqueeze(1)
