"""What the model plugins of PANNs have in common: on a log-mel or another spectrogram, and on a waveform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.builtin.panns.params import FrameStrideParams, JoinedNetworkParams, LogMelNetworkParams
from pannsdist.builtin.panns.published import published_weights
from pannsdist.builtin.waveform import Waveform, WaveformParams
from pannsdist.contracts import FrontEnd, NoParams, Pretrained
from pannsdist.contracts.param_checks import check_params

if TYPE_CHECKING:
    import paddle

    from pannsdist.builtin.panns.networks import NetworkConfig


class PannsNetwork:
    """Base class of all networks; `network` is a function of `networks`, `details` are its arguments."""

    front_end: ClassVar[FrontEnd] = LogMel(LogMelParams()).front_end
    weights: ClassVar[Mapping[str, Pretrained]]
    head: ClassVar[str] = "fc_audioset"
    static_graph: ClassVar[bool] = True
    network: ClassVar[str]
    details: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        cls.weights = published_weights(cls.__name__, cls.front_end)

    def __init__(self, params: JoinedNetworkParams | FrameStrideParams | NoParams) -> None:
        self.params = params

    def build(self, labels: Sequence[str], front_end: FrontEnd) -> paddle.nn.Layer:
        """(B, 1, T, F) -> (B, C) logits."""
        from pannsdist.builtin.panns import networks

        return self._built(networks.NetworkConfig(len(labels), front_end.bins, self._masks))

    @property
    def _masks(self) -> bool:
        return isinstance(self.params, JoinedNetworkParams) and self.params.spec_augment

    def _built(self, config: NetworkConfig) -> paddle.nn.Layer:
        from pannsdist.builtin.panns import networks

        layer: paddle.nn.Layer = getattr(networks, self.network)(config, **self.details)
        return layer


def check_frame_stride(params: FrameStrideParams | LogMelNetworkParams, most: int) -> None:
    """Raise UserError for a `frame_stride` that is no power of 2 from 2 to `most`."""
    known = [2**power for power in range(1, 6) if 2**power <= most]
    rule = ("frame_stride", params.frame_stride in known, ", ".join(map(str, known)))
    check_params("model.params", params, [rule])


class LogMelNetwork(PannsNetwork):
    """Base class of networks on spectrograms; `shrinks` is the total pooling factor in time and frequency."""

    Params = LogMelNetworkParams
    feature: ClassVar[str] = "logmel"
    feature_params: ClassVar[Mapping[str, Any]] = {}
    shrinks: ClassVar[int] = 32

    def __init_subclass__(cls) -> None:
        cls.front_end = LogMel(LogMelParams(**cls.feature_params)).front_end
        super().__init_subclass__()

    def __init__(self, params: LogMelNetworkParams) -> None:
        super().__init__(params)
        check_frame_stride(params, self.shrinks)
        self.frame_stride = params.frame_stride

    def frame_samples(self, front_end: FrontEnd) -> int:
        """The samples of an output frame of the network of `build_frames`."""
        return self.frame_stride * front_end.hop_samples

    def build_frames(self, labels: Sequence[str], front_end: FrontEnd, pooling: str) -> paddle.nn.Layer:
        """(B, 1, T, F) -> (B, T' + 1, C) logits of frames and, last, of the clip."""
        from pannsdist.builtin.panns import networks

        frames = networks.FrameConfig(self.head, pooling, self.frame_stride)
        return self._built(networks.NetworkConfig(len(labels), front_end.bins, self._masks, frames))

    def accepts(self, front_end: FrontEnd) -> bool:
        """From scratch, any spectrogram with a bin left after pooling: the first batch norm normalises each bin."""
        return front_end.bins >= self.shrinks

    def minimum_samples(self, front_end: FrontEnd) -> int:
        """Minimum for one frame after pooling (below it PyTorch raises; Paddle 3.3.1 computes wrong results).

        A waveform must also be longer than the reflection padding of the log-mel, half an FFT. The padding of other
        features is unknown: a whole FFT, or window, is always enough.
        """
        frames = (self.shrinks - 1) * front_end.hop_samples
        if front_end.kind == "logmel":
            return max(frames, front_end.fft_samples // 2 + 1)
        return frames + max(front_end.window_samples, front_end.fft_samples)


class WaveformNetwork(PannsNetwork):
    """Base class of networks on waveforms; `shortest_samples` is the minimum for one frame after pooling."""

    Params: ClassVar[type] = NoParams
    feature: ClassVar[str] = "waveform"
    feature_params: ClassVar[Mapping[str, Any]] = {}
    front_end: ClassVar[FrontEnd] = Waveform(WaveformParams()).front_end
    shortest_samples: ClassVar[int]
    pooled_samples: int
    hop: ClassVar[int] = 0

    def frame_samples(self, front_end: FrontEnd) -> int:  # noqa: ARG002 - independent of the rate
        """The samples of an output frame of the network of `build_frames`: those of all poolings together."""
        return self.pooled_samples

    def build_frames(self, labels: Sequence[str], front_end: FrontEnd, pooling: str) -> paddle.nn.Layer:
        """(B, 1, S, 1) -> (B, T' + 1, C) logits of frames and, last, of the clip."""
        from pannsdist.builtin.panns import networks

        frames = networks.FrameConfig(self.head, pooling, self.frame_samples(front_end), self.hop)
        return self._built(networks.NetworkConfig(len(labels), front_end.bins, self._masks, frames))

    def accepts(self, front_end: FrontEnd) -> bool:
        """From scratch, a waveform of any rate."""
        return front_end.kind == "waveform"

    def minimum_samples(self, front_end: FrontEnd) -> int:  # noqa: ARG002 - independent of the rate
        """Minimum for one frame after pooling."""
        return self.shortest_samples
