"""Mel-frequency cepstral coefficients as a Paddle layer."""

from __future__ import annotations

import numpy as np
import paddle
from numpy.typing import NDArray

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.spectrum import BandImage, decibels, mel_bands
from pannsdist_mfcc.params import MfccParams

POWER_FLOOR = 1e-10


def cosine_transform(values: int, kept: int) -> NDArray[np.float64]:
    """The first columns of the orthonormal DCT-II matrix: (values, kept)."""
    angles = np.pi / values * np.outer(np.arange(values) + 0.5, np.arange(kept))
    lengths = np.where(np.arange(kept) == 0, np.sqrt(1 / values), np.sqrt(2 / values))
    return np.asarray(np.cos(angles) * lengths)


class Cepstrum(BandImage):
    """(B, S) -> (B, 1, T, F), T = 1 + S // hop: the first F coefficients of the log-mel spectrum in dB.

    Source: S. B. Davis, P. Mermelstein, "Comparison of parametric representations for monosyllabic word recognition in
    continuously spoken sentences", IEEE Trans. ASSP 28(4), 1980; each step as in `librosa.feature.mfcc`,
    within 2e-3.
    """

    def __init__(self, front_end: FrontEnd, params: MfccParams) -> None:
        super().__init__(front_end, mel_bands(front_end, params.mel_bins, htk=params.mel == "htk"))
        cosines = cosine_transform(params.mel_bins, params.coefficients)
        self.register_buffer("cosines", paddle.to_tensor(cosines.astype(np.float32)), persistable=False)
        self._range_db = params.range_db

    def image(self, energy: paddle.Tensor) -> paddle.Tensor:
        """Power of each mel band (B, T, K) -> coefficients (B, T, F); `range_db` is relative to each clip's maximum."""
        loudness = decibels(energy, POWER_FLOOR)
        if self._range_db:
            loudness = paddle.maximum(loudness, loudness.max(axis=[1, 2], keepdim=True) - self._range_db)
        return paddle.matmul(loudness, self.cosines)
