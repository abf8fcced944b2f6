"""Generated backgrounds: noise of a colour, and recordings cut or repeated to the length of a soundscape."""

from __future__ import annotations

import numpy as np

EXPONENTS = {"white": 0.0, "pink": 0.5, "brown": 1.0}
"""The amplitude falls with this power of the frequency: 0, 3 and 6 dB per octave."""
FLAT_BELOW_HZ = 20.0
"""So that most of the energy of brown noise is not inaudible."""


def coloured_noise(colour: str, samples: int, rate_hz: int, generator: np.random.Generator) -> np.ndarray:
    """Gaussian noise (S,) float64 of a colour, at no particular level."""
    white = generator.standard_normal(samples)
    exponent = EXPONENTS[colour]
    if exponent == 0:
        return white
    frequencies = np.maximum(np.fft.rfftfreq(samples, 1 / rate_hz), FLAT_BELOW_HZ)
    spectrum = np.fft.rfft(white) * (FLAT_BELOW_HZ / frequencies) ** exponent
    spectrum[0] = 0.0
    return np.fft.irfft(spectrum, samples)


def of_length(waveform: np.ndarray, samples: int) -> np.ndarray:
    """A recording (S',) cut to `samples`, or repeated to fill them."""
    if len(waveform) >= samples:
        return waveform[:samples]
    return np.tile(waveform, -(-samples // len(waveform)))[:samples]
