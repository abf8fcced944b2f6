"""Common settings of spectral feature plugins, their validation, and the resulting `FrontEnd`.

A feature's `Params` inherits from `SpectrumParams`, adds fields, and redefines a field to change its default. Its layer
inherits from `pannsdist.contracts.spectrum`, in a separate module, since that one imports paddle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pannsdist.contracts import FrontEnd, UserError, param

__all__ = ["SpectrumParams", "front_end_of"]

HIGHEST_HZ = 14000.0
"""Upper limit of the 32 kHz PANNs."""


class FrameParams(Protocol):
    """Params of a feature that computes spectral frames."""

    @property
    def sample_rate_hz(self) -> int: ...
    @property
    def window_samples(self) -> int: ...
    @property
    def hop_samples(self) -> int: ...
    @property
    def fft_samples(self) -> int: ...


def front_end_of(
    params: FrameParams, kind: str, range_hz: tuple[float, float], bins: int, **details: str | float | int | bool
) -> FrontEnd:
    """The front end of a feature with these params, from the first to the second frequency; details are sorted."""
    return FrontEnd(
        kind=kind,
        sample_rate_hz=params.sample_rate_hz,
        window_samples=params.window_samples,
        hop_samples=params.hop_samples,
        fft_samples=params.fft_samples,
        bins=bins,
        low_hz=range_hz[0],
        high_hz=range_hz[1],
        details=tuple(sorted(details.items())),
    )


@dataclass(frozen=True)
class SpectrumParams:
    """Framing, FFT size and frequency range; the defaults are those of the 32 kHz PANNs."""

    sample_rate_hz: int = param(32000, "sample rate in Hz, to which audio is resampled", low=1)
    window_samples: int = param(1024, "length of the Hann window in samples", low=1)
    hop_samples: int = param(320, "hop size in samples", low=1)
    fft_samples: int = param(1024, "FFT size in samples", low=1)
    low_hz: float = param(50.0, "lowest frequency in Hz", low=0.0)
    high_hz: float | None = param(
        None, "highest frequency in Hz; null is 14000, or half the sample rate where that is lower", above=0.0
    )

    @property
    def highest_hz(self) -> float:
        """The value of `high_hz`, or what its null stands for."""
        return min(HIGHEST_HZ, self.sample_rate_hz / 2) if self.high_hz is None else self.high_hz

    def front_end(self, kind: str, bins: int, **details: str | float | int | bool) -> FrontEnd:
        """The `FrontEnd` with `bins` bins, centred Hann-windowed frames and reflection padding.

        Raises UserError if the settings are inconsistent.
        """
        if self.window_samples > self.fft_samples:
            wrong = f"feature.params.window_samples is {self.window_samples}, longer than fft_samples"
            raise UserError(wrong, f"allowed: 1 to {self.fft_samples}")
        if not 0 <= self.low_hz < self.highest_hz <= self.sample_rate_hz / 2:
            wrong = f"feature.params.low_hz to high_hz is {self.low_hz} to {self.highest_hz} Hz"
            raise UserError(wrong, f"allowed: 0 to {self.sample_rate_hz / 2:g} Hz, the lower one first")
        details = {"pad": "reflect", "window": "hann", **details}
        return front_end_of(self, kind, (self.low_hz, self.highest_hz), bins, **details)
