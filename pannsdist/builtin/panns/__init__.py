"""Model plugins for PANNs: pretrained audio neural networks (Kong et al. 2020, arXiv 1912.10211)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pannsdist.contracts import FrontEnd, NoParams, Pretrained

if TYPE_CHECKING:
    import paddle

FRONT_END_32K = FrontEnd(
    kind="logmel",
    sample_rate_hz=32000,
    window_samples=1024,
    hop_samples=320,
    fft_samples=1024,
    bins=64,
    low_hz=50.0,
    high_hz=14000.0,
    details=(("mel", "slaney"), ("pad", "reflect"), ("power_floor", 1e-10), ("scale", "db"), ("window", "hann")),
)


class _LogMelNetwork:
    """What the networks on log-mel share; each names its network and the frames that its pooling needs."""

    Params = NoParams
    feature: ClassVar[str] = "logmel"
    feature_params: ClassVar[Mapping[str, Any]] = {}
    front_end: ClassVar[FrontEnd] = FRONT_END_32K
    weights: ClassVar[Mapping[str, Pretrained]] = {}
    head: ClassVar[str] = "fc_audioset"
    network: ClassVar[str]
    minimum_frames: ClassVar[int]

    def __init__(self, params: NoParams) -> None:
        self.params = params

    def accepts(self, front_end: FrontEnd) -> bool:
        """From scratch, any log-mel with bins enough for the pooling; the first batch norm takes their number."""
        return front_end.kind == "logmel" and front_end.bins >= self.minimum_frames

    def minimum_samples(self, front_end: FrontEnd) -> int:
        """Below this, pooling leaves no frame (PyTorch refuses; Paddle 3.3.1 goes on with another network).

        A waveform must also be longer than what is reflected at its ends.
        """
        return max((self.minimum_frames - 1) * front_end.hop_samples, front_end.fft_samples // 2 + 1)

    def build(self, labels: Sequence[str], front_end: FrontEnd) -> paddle.nn.Layer:
        """(B, 1, T, F) -> (B, C) logits."""
        from pannsdist.builtin.panns import networks

        layer: paddle.nn.Layer = getattr(networks, self.network)(len(labels), front_end.bins)
        return layer


class Cnn6(_LogMelNetwork):
    """PANNs CNN6: four 5x5 convolutions, 4.8 M parameters."""

    network = "Cnn6"
    minimum_frames = 16


class Cnn10(_LogMelNetwork):
    """PANNs CNN10: four blocks of two 3x3 convolutions, 5.2 M parameters."""

    network = "Cnn10"
    minimum_frames = 16


class Cnn14(_LogMelNetwork):
    """PANNs CNN14: six blocks of two 3x3 convolutions, 80.8 M parameters."""

    network = "Cnn14"
    minimum_frames = 32
