"""A gammatone filter bank as a Paddle layer.

Sources: R. D. Patterson et al., "An efficient auditory filterbank based on the gammatone function", APU report 2341,
1988; B. R. Glasberg, B. C. J. Moore, "Derivation of auditory filter shapes from notched-noise data", Hearing Research
47, 1990 (bandwidths); M. Slaney, "An efficient implementation of the Patterson-Holdsworth auditory filter bank", Apple
technical report 35, 1993; weights for the bins of a transform instead of filters in time after D. P. W. Ellis,
"Gammatone-like spectrograms", 2009.
"""

from __future__ import annotations

import numpy as np
import paddle
from numpy.typing import NDArray

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.spectrum import BandImage, decibels, hann

EAR_Q, LEAST_BANDWIDTH_HZ = 9.26449, 24.7
"""Equivalent rectangular bandwidth (ERB): centre / `EAR_Q` + `LEAST_BANDWIDTH_HZ`."""
ORDER, WIDTH = 4, 1.019
"""Filter order, and filter bandwidth in ERBs."""
POWER_FLOOR = 1e-10
DECAYS = 40.0
"""Length of an impulse response in time constants: there it has decayed to 1e-13 of its peak."""


def bandwidths_hz(centres_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Equivalent rectangular bandwidths at these centre frequencies."""
    return np.asarray(LEAST_BANDWIDTH_HZ + centres_hz / EAR_Q)


def centres_hz(front_end: FrontEnd) -> NDArray[np.float64]:
    """Centre frequencies from `low_hz` to `high_hz`, evenly spaced on the ERB scale: (F,)."""
    scale_hz = EAR_Q * LEAST_BANDWIDTH_HZ
    low, high = np.log1p(np.array([front_end.low_hz, front_end.high_hz]) / scale_hz)
    return np.asarray(scale_hz * np.expm1(np.linspace(low, high, front_end.bins)))


def gains(front_end: FrontEnd, centre_hz: float) -> NDArray[np.float64]:
    """Amplitude response of the filter at each FFT bin, 1 at its centre: (fft_samples // 2 + 1,).

    Computed in float64 from the full sampled impulse response t^3 e^(-2 pi b t) cos(2 pi f t).
    """
    decay = 2 * np.pi * WIDTH * bandwidths_hz(np.asarray(centre_hz)) / front_end.sample_rate_hz
    turns = -(-int(np.ceil(DECAYS / decay)) // front_end.fft_samples)
    sample = np.arange(turns * front_end.fft_samples)
    angle = 2 * np.pi * centre_hz / front_end.sample_rate_hz * sample
    response = sample ** (ORDER - 1.0) * np.exp(-decay * sample) * np.cos(angle)
    at_centre = np.abs(np.sum(response * np.exp(-1j * angle)))
    # The FFT of the time-aliased response equals its spectrum sampled at the FFT bins.
    return np.asarray(np.abs(np.fft.rfft(response.reshape(turns, -1).sum(axis=0))) / at_centre)


def power_weights(front_end: FrontEnd) -> NDArray[np.float64]:
    """Weight of each bin's power in the mean output power of each filter: (F, fft_samples // 2 + 1)."""
    both_sides = np.full(front_end.fft_samples // 2 + 1, 2.0)
    both_sides[0] = 1.0
    if front_end.fft_samples % 2 == 0:
        both_sides[-1] = 1.0
    squares = np.stack([gains(front_end, centre) for centre in centres_hz(front_end)]) ** 2
    return np.asarray(squares * both_sides / (front_end.fft_samples * np.sum(hann(front_end.window_samples) ** 2)))


class FilterBank(BandImage):
    """(B, S) -> (B, 1, T, F) in dB, T = 1 + S // hop: mean output power of each filter per windowed frame.

    A full-scale tone has about -3 dB at its filter, silence -100 dB. The power is a sum over FFT bins, weighted by the
    squared filter gains; this equals the filter's output energy if the FFT is longer than its ringing. Within 0.1 dB of
    `scipy.signal.gammatone` at the defaults.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        super().__init__(front_end, power_weights(front_end))

    def image(self, energy: paddle.Tensor) -> paddle.Tensor:
        """Output power of each filter (B, T, F) -> dB."""
        return decibels(energy, POWER_FLOOR)
