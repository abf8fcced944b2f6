"""The spectrogram in dB as a Paddle layer."""

from __future__ import annotations

import paddle

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.spectrum import SpectrumImage, decibels


class Decibels(SpectrumImage):
    """(B, S) -> (B, 1, T, F), T = 1 + S // hop: 10 log10 of the power of these bins, clipped at `power_floor`.

    As `librosa.amplitude_to_db(abs(librosa.stft(...)), top_db=None)`: a full-scale tone has a quarter of the
    squared window sum as power. Within 0.01 dB of librosa, down to 80 dB below the maximum.
    """

    def __init__(self, front_end: FrontEnd, bins: range, power_floor: float) -> None:
        super().__init__(front_end, bins.start, bins.stop)
        self._power_floor = power_floor

    def image(self, energy: paddle.Tensor) -> paddle.Tensor:
        """Power of each bin (B, T, F) -> dB."""
        return decibels(energy, self._power_floor)
