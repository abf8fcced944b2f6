"""What the small model plugins of the tests have in common: a log-mel of 16 bins at 8 kHz, which any of them takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pannsdist.contracts import FrontEnd, NoParams, Pretrained

RATE_HZ = 8000
BINS = 16
FEATURE_PARAMS = {
    "sample_rate_hz": RATE_HZ,
    "window_samples": 256,
    "hop_samples": 128,
    "fft_samples": 256,
    "mel_bins": BINS,
    "high_hz": 4000.0,
}
DETAILS = (("mel", "slaney"), ("pad", "reflect"), ("power_floor", 1e-10), ("scale", "db"), ("window", "hann"))
FRONT_END = FrontEnd("logmel", RATE_HZ, 256, 128, 256, BINS, 50.0, 4000.0, DETAILS)


class FakeModel:
    """A model plugin but for `build`; importing it does not import paddle."""

    Params: ClassVar[type[Any]] = NoParams
    feature: ClassVar[str] = "logmel"
    feature_params: ClassVar[Mapping[str, Any]] = FEATURE_PARAMS
    front_end: ClassVar[FrontEnd] = FRONT_END
    weights: ClassVar[Mapping[str, Pretrained]] = {}
    head: ClassVar[str] = "classifier"
    static_graph: ClassVar[bool] = True

    def __init__(self, params: Any) -> None:
        self.params = params

    def accepts(self, front_end: FrontEnd) -> bool:
        return front_end.kind == "logmel"

    def minimum_samples(self, front_end: FrontEnd) -> int:
        return 4 * front_end.hop_samples
