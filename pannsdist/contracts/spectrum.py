"""Power spectra as convolutions, which all inference engines and ONNX support, and features based on them.

This module imports paddle: import it in the module of the layer, not in the module that the entry point names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import nn

from pannsdist.contracts import FrontEnd, UserError
from pannsdist.contracts.mel import mel_filters

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
    """Hann window (samples,): periodic, or symmetric with both ends 0."""
    period = samples if periodic else samples - 1
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(samples) / period))


def centred(window: NDArray[np.float64], fft_samples: int) -> NDArray[np.float64]:
    """The window centred in `fft_samples` and padded with zeros."""
    whole = np.zeros(fft_samples)
    first = (fft_samples - len(window)) // 2
    whole[first : first + len(window)] = window
    return whole


def windowed_fourier(window: NDArray[np.float64], fft_samples: int, low_bin: int, end_bin: int) -> NDArray[np.float64]:
    """Windowed Fourier basis of bins `low_bin` to `end_bin` (exclusive), cosines, then sines: (2 K, samples).

    A window shorter than `fft_samples` is equivalent to one padded with zeros: the padding only changes phases.
    """
    angles = 2 * np.pi * np.outer(np.arange(low_bin, end_bin), np.arange(len(window))) / fft_samples
    return np.asarray(np.concatenate([np.cos(angles), -np.sin(angles)]) * window)


def mel_bands(front_end: FrontEnd, bands: int, htk: bool = False) -> NDArray[np.float32]:
    """Triangular mel filters of unit area from `low_hz` to `high_hz`: (bands, fft_samples // 2 + 1).

    Those of librosa; mel scale as in Slaney's Auditory Toolbox, or as in HTK.
    """
    fft_hz = np.fft.rfftfreq(front_end.fft_samples, 1 / front_end.sample_rate_hz)
    return mel_filters(fft_hz, bands, front_end.low_hz, front_end.high_hz, htk)


def kaldi_bands(front_end: FrontEnd, bands: int) -> NDArray[np.float64]:
    """Kaldi's triangular mel filters, mel = 1127 ln(1 + f / 700), without area normalisation; as `mel_bands`.

    The Nyquist bin is in none of them. Source: Povey et al., The Kaldi Toolkit, ASRU 2011.
    """
    bins = front_end.fft_samples // 2
    bin_mel = 1127.0 * np.log1p(np.arange(bins) * (front_end.sample_rate_hz / front_end.fft_samples) / 700.0)
    low, high = 1127.0 * np.log1p(np.array([front_end.low_hz, front_end.high_hz]) / 700.0)
    width = (high - low) / (bands + 1)
    centres = low + width * np.arange(1, bands + 1)
    triangles = np.maximum(0.0, 1.0 - np.abs(bin_mel - centres[:, None]) / width)
    return np.pad(triangles, ((0, 0), (0, 1)))


def decibels(power: paddle.Tensor, floor: float) -> paddle.Tensor:
    """10 log10(max(power, floor)), for any shape."""
    return 10.0 * paddle.log10(paddle.clip(power, min=floor))


class PowerSpectrum(nn.Layer):
    """(B, S) -> (B, T, K): power of K bins at every hop, with T = 1 + (S + 2 pad - samples) // hop.

    `fourier` (2 K, samples) holds K rows for the real part, then K for the imaginary part, as from `windowed_fourier`;
    other linear operations on a frame can be multiplied into it. `pad_samples` is the reflection padding at both ends;
    S must be larger. Convolution is more accurate than a float32 FFT, and exportable. Always float32.
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
    """(B, S) -> (B, 1, T, F), T = 1 + S // hop for even windows: `image` applied to the power spectrum.

    Uses bins `low_bin` to `end_bin` (exclusive) of centred Hann-windowed frames with reflection padding: S must be more
    than half a window. Subclasses implement `image`. Always float32.
    """

    def __init__(self, front_end: FrontEnd, low_bin: int, end_bin: int) -> None:
        super().__init__()
        fft_samples = front_end.fft_samples
        zeros = (fft_samples - front_end.window_samples) // 2  # padding at each end of the window: not computed
        window = centred(hann(front_end.window_samples), fft_samples)[zeros : fft_samples - zeros]
        fourier = windowed_fourier(window, fft_samples, low_bin, end_bin)
        self.power = PowerSpectrum(fourier, front_end.hop_samples, pad_samples=fft_samples // 2 - zeros)

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) in [-1, 1] -> image (B, 1, T, F)."""
        with paddle.amp.auto_cast(enable=False):
            return self.image(self.energy(waveform)).unsqueeze(1)

    def energy(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) -> input of `image`: power (B, T, K)."""
        return self.power(waveform)

    @abstractmethod
    def image(self, energy: paddle.Tensor) -> paddle.Tensor:
        """Energy (B, T, K) -> features (B, T, F)."""


class BandImage(SpectrumImage):
    """(B, S) -> (B, 1, T, F): `image` applied to band energies, that is weighted sums of power or magnitude.

    `bands` (K, fft_samples // 2 + 1) holds the weights of the bins in each of K bands; bins without weight are not
    computed. `image` receives (B, T, K). Raises UserError if all weights are 0.
    """

    def __init__(self, front_end: FrontEnd, bands: NDArray[np.floating], magnitude: bool = False) -> None:
        used = np.flatnonzero(bands.any(axis=0))
        if not len(used):
            apart_hz = front_end.sample_rate_hz / front_end.fft_samples
            wrong = f"the transform has no frequency from {front_end.low_hz:g} to {front_end.high_hz:g} Hz"
            raise UserError(wrong, f"they are {apart_hz:g} Hz apart: wider limits, or more feature.params.fft_samples")
        low, end = int(used[0]), int(used[-1]) + 1
        super().__init__(front_end, low, end)
        weights = paddle.to_tensor(np.ascontiguousarray(bands[:, low:end].T, np.float32))
        self.register_buffer("bands", weights, persistable=False)
        self._magnitude = magnitude

    def energy(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) -> energy of each band (B, T, K)."""
        power = self.power(waveform)
        return paddle.matmul(power.sqrt() if self._magnitude else power, self.bands)
