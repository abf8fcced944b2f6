"""The networks `efficientat_mn01` to `efficientat_mn40`: one class per published network, with its front end.

Classes are named after the published networks. Facts from F. Schmid, K. Koutini, G. Widmer, "Efficient Large-Scale
Audio Tagging via Transformer-to-CNN Knowledge Distillation", ICASSP 2023, and its release v0.0.1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pannsdist.contracts import FrontEnd, Pretrained, param
from pannsdist.contracts.param_checks import check_params
from pannsdist_efficientat.feature import EfficientAtMel
from pannsdist_efficientat.params import KIND, MelParams
from pannsdist_efficientat.published import published_weights

if TYPE_CHECKING:
    import paddle

FEATURES = {f"features.{number}": (f"features.{number}",) for number in range(17)}


FRAME_STRIDE = "feature frames to an output frame, where events are asked for: 2, 4, 8, 16 or 32"


@dataclass(frozen=True)
class ModelParams:
    """Settings of the networks."""

    dropout: float = param(0.2, "dropout probability before the last layer")
    frame_stride: int = param(8, FRAME_STRIDE)


@dataclass(frozen=True)
class FullyConvolutionalParams:
    """Settings of the fully convolutional networks."""

    frame_stride: int = param(8, FRAME_STRIDE)


class _Network:
    """Common part of the networks: MobileNetV3-Large with its channels multiplied by `width`."""

    width: ClassVar[float]
    feature: ClassVar[str] = KIND
    feature_params: ClassVar[Mapping[str, Any]] = {}
    front_end: ClassVar[FrontEnd]
    weights: ClassVar[Mapping[str, Pretrained]]
    strides: ClassVar[tuple[int, int, int, int]] = (2, 2, 2, 2)
    """Strides of the four downsampling blocks; the first convolution has stride 2 too."""
    params: Any

    def __init_subclass__(cls) -> None:
        cls.front_end = EfficientAtMel(MelParams(**cls.feature_params)).front_end
        cls.weights = published_weights(cls.__name__, cls.front_end)

    def accepts(self, front_end: FrontEnd) -> bool:
        """Accept any front end: convolutions are padded, and pooling is global."""
        return front_end.bins >= 1

    def minimum_samples(self, front_end: FrontEnd) -> int:
        """The minimum length in samples: the network needs only one frame, so the front end decides.

        `efficientat_mel` loses one sample to pre-emphasis, and its reflection padding of half a window must be shorter
        than the signal (402 samples at the defaults). Other front ends need one full transform, centred or not.
        """
        if front_end.kind == KIND:
            return front_end.window_samples // 2 + 2
        return max(front_end.window_samples, front_end.fft_samples)

    def frame_samples(self, front_end: FrontEnd) -> int:
        """The samples of an output frame of the network of `build_frames`."""
        return int(self.params.frame_stride) * front_end.hop_samples

    def _frame_stride_rule(self) -> tuple[str, bool, str]:
        """The rule of `check_params`: strides of frames that the network has, from 2, which tells frames apart."""
        known = [2**power for power in range(1, 6) if 2**power <= 2 * math.prod(self.strides)]
        return "frame_stride", self.params.frame_stride in known, ", ".join(map(str, known))


class MobileNet(_Network):
    """MobileNetV3-Large as trained by EfficientAT on AudioSet: pooling, then two linear layers."""

    Params = ModelParams
    head: ClassVar[str] = "classifier.5"
    static_graph: ClassVar[bool] = True
    stages: ClassVar[Mapping[str, Sequence[str]]] = {**FEATURES, "classifier": ("classifier",)}

    def __init__(self, params: ModelParams) -> None:
        self.params = params
        valid = 0.0 <= params.dropout < 1.0
        rules = [("dropout", valid, "from 0 up to, not including, 1"), self._frame_stride_rule()]
        check_params("model.params", params, rules)

    def build(self, labels: Sequence[str], front_end: FrontEnd) -> paddle.nn.Layer:  # noqa: ARG002 - independent of the front end
        """A layer (B, 1, T, F) -> (B, C) logits, with random weights; `embed` gives (B, E)."""
        from pannsdist_efficientat.network import MobileNetV3

        return MobileNetV3(self.width, len(labels), self.params.dropout)

    def build_frames(self, labels: Sequence[str], front_end: FrontEnd, pooling: str) -> paddle.nn.Layer:  # noqa: ARG002 - independent of the front end
        """A layer (B, 1, T, F) -> (B, T' + 1, C) logits of frames and, last, of the clip."""
        from pannsdist_efficientat.frames import MobileNetV3ByFrame

        params = self.params
        return MobileNetV3ByFrame(self.width, (len(labels), pooling), params.dropout, params.frame_stride)


class FullyConvolutional(_Network):
    """MobileNetV3-Large with a fully convolutional head: classification at each position, then pooling."""

    Params = FullyConvolutionalParams
    width = 1.0
    head: ClassVar[str] = "classifier"
    stages: ClassVar[Mapping[str, Sequence[str]]] = FEATURES

    def __init__(self, params: FullyConvolutionalParams) -> None:
        self.params = params
        check_params("model.params", params, [self._frame_stride_rule()])

    def build(self, labels: Sequence[str], front_end: FrontEnd) -> paddle.nn.Layer:  # noqa: ARG002 - independent of the front end
        """A layer (B, 1, T, F) -> (B, C) logits, with random weights; `embed` gives (B, E)."""
        from pannsdist_efficientat.network import FullyConvolutionalMobileNetV3

        return FullyConvolutionalMobileNetV3(self.width, len(labels), self.strides)

    def build_frames(self, labels: Sequence[str], front_end: FrontEnd, pooling: str) -> paddle.nn.Layer:  # noqa: ARG002 - independent of the front end
        """A layer (B, 1, T, F) -> (B, T' + 1, C) logits of frames and, last, of the clip."""
        from pannsdist_efficientat.frames import FullyConvolutionalByFrame

        head = (len(labels), pooling)
        return FullyConvolutionalByFrame(self.width, head, self.strides, self.params.frame_stride)


class Mn01(MobileNet):
    """EfficientAT mn01: width 0.1, 0.12 M parameters at 527 classes."""

    width = 0.1


class Mn02(MobileNet):
    """EfficientAT mn02: width 0.2, 0.32 M parameters at 527 classes."""

    width = 0.2


class Mn04(MobileNet):
    """EfficientAT mn04: width 0.4, 0.98 M parameters at 527 classes."""

    width = 0.4


class Mn05(MobileNet):
    """EfficientAT mn05: width 0.5, 1.43 M parameters at 527 classes."""

    width = 0.5


class Mn10(MobileNet):
    """EfficientAT mn10: width 1, 4.88 M parameters at 527 classes."""

    width = 1.0


class Mn20(MobileNet):
    """EfficientAT mn20: width 2, 17.91 M parameters at 527 classes."""

    width = 2.0


class Mn30(MobileNet):
    """EfficientAT mn30: width 3, 39.09 M parameters at 527 classes."""

    width = 3.0


class Mn40(MobileNet):
    """EfficientAT mn40: width 4, 68.43 M parameters at 527 classes."""

    width = 4.0


class Mn10Hop5(Mn10):
    """EfficientAT mn10 with a hop of 5 ms."""

    feature_params: ClassVar = {"hop_samples": 160}


class Mn10Hop15(Mn10):
    """EfficientAT mn10 with a hop of 15 ms."""

    feature_params: ClassVar = {"hop_samples": 480}


class Mn10Hop20(Mn10):
    """EfficientAT mn10 with a hop of 20 ms."""

    feature_params: ClassVar = {"hop_samples": 640}


class Mn10Hop25(Mn10):
    """EfficientAT mn10 with a hop of 25 ms."""

    feature_params: ClassVar = {"hop_samples": 800}


class Mn10Mels40(Mn10):
    """EfficientAT mn10 with 40 mel bins."""

    feature_params: ClassVar = {"mel_bins": 40}


class Mn10Mels64(Mn10):
    """EfficientAT mn10 with 64 mel bins."""

    feature_params: ClassVar = {"mel_bins": 64}


class Mn10Mels256(Mn10):
    """EfficientAT mn10 with 256 mel bins."""

    feature_params: ClassVar = {"mel_bins": 256}


class Mn10Fc(FullyConvolutional):
    """EfficientAT mn10 with a fully convolutional head: 3.48 M parameters at 527 classes."""


class Mn10FcS2221(FullyConvolutional):
    """EfficientAT mn10 with a fully convolutional head and 16-fold instead of 32-fold downsampling."""

    strides = (2, 2, 2, 1)


class Mn10FcS2211(FullyConvolutional):
    """EfficientAT mn10 with a fully convolutional head and 8-fold instead of 32-fold downsampling."""

    strides = (2, 2, 1, 1)
