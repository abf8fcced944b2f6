"""Model plugins for PANNs: pretrained audio neural networks (Kong et al. 2020, arXiv 1912.10211).

Classes are named like the published networks; plugin names are `panns_` and the name in lower case.
"""

from __future__ import annotations

from typing import ClassVar

from pannsdist.builtin.panns.bases import LogMelNetwork, WaveformNetwork, check_frame_stride
from pannsdist.builtin.panns.params import FrameStrideParams, LogMelNetworkParams
from pannsdist.contracts import FrontEnd


class Cnn6(LogMelNetwork):
    """PANNs CNN6: four 5x5 convolutions, 4.8 M parameters."""

    network = "cnn6"
    shrinks = 16


class Cnn10(LogMelNetwork):
    """PANNs CNN10: four blocks of two 3x3 convolutions, 5.2 M parameters."""

    network = "cnn10"
    shrinks = 16


class Cnn14(LogMelNetwork):
    """PANNs CNN14: six blocks of two 3x3 convolutions, 80.8 M parameters."""

    network = "cnn14"


class Cnn14At16k(Cnn14):
    """PANNs CNN14 for 16 kHz."""

    feature_params: ClassVar = {
        "sample_rate_hz": 16000,
        "window_samples": 512,
        "hop_samples": 160,
        "fft_samples": 512,
        "high_hz": 8000.0,
    }


class Cnn14At8k(Cnn14):
    """PANNs CNN14 for 8 kHz."""

    feature_params: ClassVar = {
        "sample_rate_hz": 8000,
        "window_samples": 256,
        "hop_samples": 80,
        "fft_samples": 256,
        "high_hz": 4000.0,
    }


class Cnn14Mel32(Cnn14):
    """PANNs CNN14 on 32 bins."""

    feature_params: ClassVar = {"mel_bins": 32}


class Cnn14Mel128(Cnn14):
    """PANNs CNN14 on 128 bins."""

    feature_params: ClassVar = {"mel_bins": 128}


class Cnn14Emb512(Cnn14):
    """PANNs CNN14 with an embedding of 512."""

    details: ClassVar = {"embedding": 512}


class Cnn14Emb128(Cnn14):
    """PANNs CNN14 with an embedding of 128."""

    details: ClassVar = {"embedding": 128}


class Cnn14Emb32(Cnn14):
    """PANNs CNN14 with an embedding of 32."""

    details: ClassVar = {"embedding": 32}


class Cnn14DecisionLevelMax(Cnn14):
    """PANNs CNN14 with segment-level predictions; the clip probability is their maximum."""

    details: ClassVar = {"decision": "max"}


class Cnn14DecisionLevelAvg(Cnn14):
    """PANNs CNN14 with segment-level predictions; the clip probability is their mean."""

    details: ClassVar = {"decision": "mean"}


class Cnn14DecisionLevelAtt(Cnn14):
    """PANNs CNN14 with segment-level predictions; the clip probability is their attention-weighted mean."""

    details: ClassVar = {"decision": "attention"}
    head = "att_block"


class ResNet22(LogMelNetwork):
    """PANNs ResNet22: stages of 2 basic residual blocks, 63.7 M parameters."""

    network = "resnet22"


class ResNet38(LogMelNetwork):
    """PANNs ResNet38: stages of 3, 4, 6 and 3 basic residual blocks, 73.8 M parameters."""

    network = "resnet38"


class ResNet54(LogMelNetwork):
    """PANNs ResNet54: stages of 3, 4, 6 and 3 bottlenecks, 104.3 M parameters."""

    network = "resnet54"


class MobileNetV1(LogMelNetwork):
    """PANNs MobileNetV1: depthwise and 1x1 convolutions, 4.8 M parameters."""

    network = "mobilenet_v1"


class MobileNetV2(LogMelNetwork):
    """PANNs MobileNetV2: inverted residuals, 4.1 M parameters."""

    network = "mobilenet_v2"


class WavegramCnn14(WaveformNetwork):
    """PANNs Wavegram-CNN: CNN14 on features learned from the waveform, 81.0 M parameters."""

    Params: ClassVar[type] = FrameStrideParams
    network = "wavegram_cnn14"
    shortest_samples = 5 * (64 * 32 - 1) + 1
    hop = 320

    def __init__(self, params: FrameStrideParams | LogMelNetworkParams) -> None:
        super().__init__(params)
        check_frame_stride(params, 32)
        self.pooled_samples = params.frame_stride * self.hop


class WavegramLogmelCnn14(WavegramCnn14):
    """PANNs Wavegram-Logmel-CNN: CNN14 on learned features and a log-mel of 64 bins, 81.1 M parameters."""

    Params = LogMelNetworkParams
    network = "wavegram_logmel_cnn14"

    def accepts(self, front_end: FrontEnd) -> bool:
        """Only the published front end: the internal log-mel is for 32 kHz."""
        return front_end == self.front_end


class WavegramLogmel128Cnn14(WavegramLogmelCnn14):
    """PANNs Wavegram-Logmel-CNN with a log-mel of 128 bins."""

    details: ClassVar = {"mel_bins": 128}


class Res1dNet31(WaveformNetwork):
    """PANNs Res1dNet31: stages of 2 residual blocks on the waveform, 80.5 M parameters."""

    network = "res1dnet31"
    shortest_samples = 5 * (4**6 - 1) + 1
    pooled_samples = 5 * 4**6


class Res1dNet51(Res1dNet31):
    """PANNs Res1dNet51: stages of 2 to 6 residual blocks on the waveform, 106.5 M parameters."""

    network = "res1dnet51"


class DaiNet19(WaveformNetwork):
    """PANNs DaiNet19: four blocks of four convolutions on the waveform, 4.4 M parameters (Dai et al. 2017)."""

    network = "dainet19"
    shortest_samples = 4 * (4**3 - 1) + 80
    pooled_samples = 4 * 4**3


class LeeNet11(WaveformNetwork):
    """PANNs LeeNet11: nine convolutions on the waveform, 0.7 M parameters (Lee et al. 2017)."""

    network = "leenet11"
    shortest_samples = 1
    pooled_samples = 3 * 3**8


class LeeNet24(LeeNet11):
    """PANNs LeeNet24: nine pairs of convolutions on the waveform, 10 M parameters."""

    network = "leenet24"
    pooled_samples = 3 * 3**7
