"""For feature plugins: the settings that images made of a spectrum have in common, their refusals, and their record.

A feature's `Params` inherits `SpectrumParams`, adds its own fields, and gives another default by naming a field anew.
Its layer inherits from `pannsdist.contracts.spectrum`, in a module of its own, since that one imports paddle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pannsdist.contracts import FrontEnd, UserError, param

__all__ = ["SpectrumParams", "front_end_of"]


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
    @property
    def low_hz(self) -> float: ...
    @property
    def high_hz(self) -> float: ...


def front_end_of(params: FrameParams, kind: str, bins: int, **details: str | float | int | bool) -> FrontEnd:
    """The front end of a feature with these params; details are sorted."""
    return FrontEnd(
        kind=kind,
        sample_rate_hz=params.sample_rate_hz,
        window_samples=params.window_samples,
        hop_samples=params.hop_samples,
        fft_samples=params.fft_samples,
        bins=bins,
        low_hz=params.low_hz,
        high_hz=params.high_hz,
        details=tuple(sorted(details.items())),
    )


@dataclass(frozen=True)
class SpectrumParams:
    """Frames, transform and the frequencies that are heard; the defaults are those of the 32 kHz PANNs."""

    sample_rate_hz: int = param(32000, "rate that every sound is brought to", low=1)
    window_samples: int = param(1024, "length of the Hann window", low=1)
    hop_samples: int = param(320, "from one frame to the next", low=1)
    fft_samples: int = param(1024, "length of the transform", low=1)
    low_hz: float = param(50.0, "the lowest frequency that is heard", low=0.0)
    high_hz: float = param(14000.0, "the highest frequency that is heard", above=0.0)

    def front_end(self, kind: str, bins: int, **details: str | float | int | bool) -> FrontEnd:
        """The record of `bins` bins out of centred frames under a Hann window, the ends reflected; details are sorted.

        Raises UserError where the settings contradict each other.
        """
        if self.window_samples > self.fft_samples:
            wrong = f"feature.params.window_samples is {self.window_samples}, longer than fft_samples"
            raise UserError(wrong, f"allowed: 1 to {self.fft_samples}")
        if not 0 <= self.low_hz < self.high_hz <= self.sample_rate_hz / 2:
            wrong = f"feature.params.low_hz to high_hz is {self.low_hz} to {self.high_hz} Hz"
            raise UserError(wrong, f"allowed: 0 to {self.sample_rate_hz / 2:g} Hz, the lower one first")
        return front_end_of(self, kind, bins, **{"pad": "reflect", "window": "hann", **details})
