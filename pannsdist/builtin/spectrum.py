"""Log-mel spectrogram as a Paddle layer."""

from __future__ import annotations

import paddle

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.spectrum import BandImage, decibels, mel_bands

POWER_FLOOR = 1e-10


class LogMelSpectrum(BandImage):
    """(B, S) -> (B, 1, T, F) in dB, T = 1 + S // hop: the front end of PANNs (Kong et al. 2020, torchlibrosa).

    Centred frames with reflection padding, power spectrum, Slaney mel bands of unit area, 10 log10 with a floor of
    1e-10: silence is -100 dB. The transform is a convolution with a windowed Fourier basis, as in the original: closer
    to its results than an FFT, and exportable. Bins outside of all mel bands are not computed. Always float32.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        super().__init__(front_end, mel_bands(front_end, front_end.bins))

    def image(self, energy: paddle.Tensor) -> paddle.Tensor:
        """Power of each mel band (B, T, F) -> dB."""
        return decibels(energy, POWER_FLOOR)
