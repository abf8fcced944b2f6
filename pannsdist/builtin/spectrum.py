"""The log-mel spectrum as a Paddle layer."""

from __future__ import annotations

import numpy as np
import paddle
from librosa.filters import mel as mel_bands
from paddle import nn

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.spectrum import PowerSpectrum, centred, hann, windowed_fourier

POWER_FLOOR = 1e-10


class LogMelSpectrum(nn.Layer):
    """(B, S) -> (B, 1, T, F) in dB, T = 1 + S // hop: the front end of PANNs (Kong et al. 2020, torchlibrosa).

    Frames are centred and the ends reflected; power, Slaney mel bands of unit area, 10 log10 with a floor of 1e-10, so
    that silence is -100 dB. The transform is a convolution with windowed cosines and sines, as in the original: nearer
    to its numbers than an FFT, and exportable. Only bins that some mel band hears are computed. Always float32.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        super().__init__()
        fft_samples = front_end.fft_samples
        mel = mel_bands(
            sr=front_end.sample_rate_hz,
            n_fft=fft_samples,
            n_mels=front_end.bins,
            fmin=front_end.low_hz,
            fmax=front_end.high_hz,
        ).astype(np.float32)
        heard = np.flatnonzero(mel.any(axis=0))
        low, end = int(heard[0]), int(heard[-1]) + 1
        window = centred(hann(front_end.window_samples), fft_samples)
        fourier = windowed_fourier(window, fft_samples, low, end)
        self.power = PowerSpectrum(fourier, front_end.hop_samples, pad_samples=fft_samples // 2)
        self.register_buffer("mel", paddle.to_tensor(np.ascontiguousarray(mel[:, low:end].T)), persistable=False)

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) in [-1, 1] -> log-mel (B, 1, T, F) in dB."""
        with paddle.amp.auto_cast(enable=False):
            heard = paddle.matmul(self.power(waveform), self.mel)
            return (10.0 * paddle.log10(paddle.clip(heard, min=POWER_FLOOR))).unsqueeze(1)
