"""For feature plugins: the power spectrum as a convolution, which every engine and ONNX know, and images made of it.

This module imports paddle: a plugin imports it in the module of its layer, not in the one that its entry point names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import paddle
import paddle.nn.functional as F
from librosa.filters import mel
from numpy.typing import NDArray
from paddle import nn

from pannsdist.contracts import FrontEnd, UserError

__all__ = [
    "BandImage",
    "PowerSpectrum",
    "SpectrumImage",
    "centred",
    "decibels",
    "hann",
    "kaldi_bands",
    "mel_bands",
    "windowed_fourier",
]


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


def mel_bands(front_end: FrontEnd, bands: int, htk: bool = False) -> NDArray[np.float32]:
    """Triangles of unit area, evenly spaced in mel from `low_hz` to `high_hz`: (bands, fft_samples // 2 + 1).

    By librosa; mel as in Slaney's Auditory Toolbox, or as in HTK.
    """
    edges_hz = {"fmin": front_end.low_hz, "fmax": front_end.high_hz}
    made = mel(sr=front_end.sample_rate_hz, n_fft=front_end.fft_samples, n_mels=bands, htk=htk, **edges_hz)
    return np.asarray(made, np.float32)


def kaldi_bands(front_end: FrontEnd, bands: int) -> NDArray[np.float64]:
    """Kaldi's triangles, evenly spaced in mel = 1127 ln(1 + f / 700) and not divided by their areas; as `mel_bands`.

    The bin at half the sample rate is in none of them. Source: Povey et al., The Kaldi Toolkit, ASRU 2011.
    """
    bins = front_end.fft_samples // 2
    bin_mel = 1127.0 * np.log1p(np.arange(bins) * (front_end.sample_rate_hz / front_end.fft_samples) / 700.0)
    low, high = 1127.0 * np.log1p(np.array([front_end.low_hz, front_end.high_hz]) / 700.0)
    width = (high - low) / (bands + 1)
    centres = low + width * np.arange(1, bands + 1)
    triangles = np.maximum(0.0, 1.0 - np.abs(bin_mel - centres[:, None]) / width)
    return np.pad(triangles, ((0, 0), (0, 1)))


def decibels(power: paddle.Tensor, floor: float) -> paddle.Tensor:
    """10 log10 of a power of any shape, but of `floor` where it is less."""
    return 10.0 * paddle.log10(paddle.clip(power, min=floor))


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


class SpectrumImage(nn.Layer, ABC):
    """(B, S) -> (B, 1, T, F), T = 1 + S // hop for even windows: what `image` makes of the power of K bins.

    The bins from `low_bin` up to, not including, `end_bin` of frames that are centred under a Hann window, the ends
    reflected: S must be more than half a window. A feature inherits this and says its `image`. Always float32.
    """

    def __init__(self, front_end: FrontEnd, low_bin: int, end_bin: int) -> None:
        super().__init__()
        fft_samples = front_end.fft_samples
        silent = (fft_samples - front_end.window_samples) // 2  # at each end of the transform: not computed
        window = centred(hann(front_end.window_samples), fft_samples)[silent : fft_samples - silent]
        fourier = windowed_fourier(window, fft_samples, low_bin, end_bin)
        self.power = PowerSpectrum(fourier, front_end.hop_samples, pad_samples=fft_samples // 2 - silent)

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) in [-1, 1] -> image (B, 1, T, F)."""
        with paddle.amp.auto_cast(enable=False):
            return self.image(self.heard(waveform)).unsqueeze(1)

    def heard(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) -> what `image` is given: power (B, T, K)."""
        return self.power(waveform)

    @abstractmethod
    def image(self, heard: paddle.Tensor) -> paddle.Tensor:
        """What is heard (B, T, K) -> image (B, T, F)."""


class BandImage(SpectrumImage):
    """(B, S) -> (B, 1, T, F): what `image` makes of sums of power, or of magnitudes, over bands.

    `bands` (K, fft_samples // 2 + 1) holds the weight of every bin in each of K bands; bins that no band hears are not
    computed. `image` is given (B, T, K). Raises UserError where no bin is heard at all.
    """

    def __init__(self, front_end: FrontEnd, bands: NDArray[np.floating], magnitude: bool = False) -> None:
        heard = np.flatnonzero(bands.any(axis=0))
        if not len(heard):
            apart_hz = front_end.sample_rate_hz / front_end.fft_samples
            wrong = f"no frequency of the transform is heard from {front_end.low_hz:g} to {front_end.high_hz:g} Hz"
            raise UserError(wrong, f"they are {apart_hz:g} Hz apart: wider limits, or more feature.params.fft_samples")
        low, end = int(heard[0]), int(heard[-1]) + 1
        super().__init__(front_end, low, end)
        weights = paddle.to_tensor(np.ascontiguousarray(bands[:, low:end].T, np.float32))
        self.register_buffer("bands", weights, persistable=False)
        self._magnitude = magnitude

    def heard(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) -> what each band hears (B, T, K)."""
        power = self.power(waveform)
        return paddle.matmul(power.sqrt() if self._magnitude else power, self.bands)
