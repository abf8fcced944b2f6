"""EfficientAT for pannsdist: the networks `efficientat_mn04` to `efficientat_mn40` and the feature `efficientat_mel`.

Importing this module does not import paddle. Facts from F. Schmid, K. Koutini, G. Widmer, "Efficient Large-Scale Audio
Tagging via Transformer-to-CNN Knowledge Distillation", ICASSP 2023, and its release v0.0.1 (MIT licence).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pannsdist.contracts import FrontEnd, Pretrained, UserError, param

if TYPE_CHECKING:
    import paddle

__all__ = ["EfficientAtMel", "MelParams", "Mn04", "Mn05", "Mn10", "Mn20", "Mn30", "Mn40", "ModelParams"]

KIND = "efficientat_mel"
SOURCE = (
    "F. Schmid, K. Koutini, G. Widmer, Efficient Large-Scale Audio Tagging via Transformer-to-CNN Knowledge "
    "Distillation, ICASSP 2023, https://github.com/fschmid56/EfficientAT"
)


@dataclass(frozen=True)
class MelParams:
    """Settings of `efficientat_mel`; the defaults are what the published weights expect."""

    sample_rate_hz: int = param(32000, "rate that every sound is brought to")
    window_samples: int = param(800, "length of the Hann window")
    hop_samples: int = param(320, "from one frame to the next")
    fft_samples: int = param(1024, "length of the transform")
    mel_bins: int = param(128, "mel bands")
    low_hz: float = param(0.0, "lower edge of the lowest band")
    high_hz: float = param(15000.0, "upper edge of the highest band")
    preemphasis: float = param(0.97, "share of the sample before that is taken off")
    log_offset: float = param(1e-5, "added before the logarithm")
    shift: float = param(4.5, "added after it")
    scale: float = param(5.0, "what that is divided by")


def _refuse(key: str, value: object, right: str, default: object) -> UserError:
    return UserError(f"{key} is {value!r}", f"allowed: {right}", f"the same command with {key}={default}")


class EfficientAtMel:
    """Pre-emphasis, power spectrum, Kaldi's mel triangles, logarithm, shift and scale."""

    Params = MelParams

    def __init__(self, params: MelParams) -> None:
        half_rate_hz = params.sample_rate_hz / 2
        rules = (
            ("sample_rate_hz", params.sample_rate_hz > 0, "above 0"),
            ("fft_samples", params.fft_samples > 0 and params.fft_samples % 2 == 0, "even numbers above 0"),
            (
                "window_samples",
                0 < params.window_samples <= params.fft_samples and params.window_samples % 2 == 0,
                f"even numbers from 2 up to fft_samples ({params.fft_samples})",
            ),
            ("hop_samples", params.hop_samples > 0, "above 0"),
            ("mel_bins", params.mel_bins > 0, "above 0"),
            ("high_hz", 0 < params.high_hz <= half_rate_hz, f"above 0 up to half the sample rate ({half_rate_hz:g})"),
            (
                "low_hz",
                0 <= params.low_hz < params.high_hz,
                f"from 0 up to, not including, high_hz ({params.high_hz:g})",
            ),
            ("log_offset", params.log_offset > 0, "above 0"),
            ("scale", params.scale != 0, "anything but 0"),
        )
        for name, kept, right in rules:
            if not kept:
                raise _refuse(f"feature.params.{name}", getattr(params, name), right, getattr(MelParams, name))
        self.params = params

    @property
    def front_end(self) -> FrontEnd:
        """What `build` computes."""
        params = self.params
        return FrontEnd(
            kind=KIND,
            sample_rate_hz=params.sample_rate_hz,
            window_samples=params.window_samples,
            hop_samples=params.hop_samples,
            fft_samples=params.fft_samples,
            bins=params.mel_bins,
            low_hz=params.low_hz,
            high_hz=params.high_hz,
            details=(
                ("centre", "reflect"),
                ("log_offset", params.log_offset),
                ("mel_scale", "kaldi"),
                ("power", 2.0),
                ("preemphasis", params.preemphasis),
                ("scale", params.scale),
                ("shift", params.shift),
                ("window", "hann_symmetric"),
            ),
        )

    def build(self) -> paddle.nn.Layer:
        """A layer: waveform (B, S) -> (B, 1, T, F) float32."""
        from pannsdist_efficientat.mel import MelLayer

        return MelLayer(self.params)


PUBLISHED = EfficientAtMel(MelParams()).front_end


@dataclass(frozen=True)
class ModelParams:
    """Settings of the networks."""

    dropout: float = param(0.2, "share of the last layer's inputs that is dropped in training")


class MobileNet:
    """MobileNetV3-Large at `width` times its channels, as EfficientAT trains it on AudioSet."""

    Params = ModelParams
    width: ClassVar[float]
    feature: ClassVar[str] = KIND
    feature_params: ClassVar[Mapping[str, Any]] = {}
    front_end: ClassVar[FrontEnd] = PUBLISHED
    weights: ClassVar[Mapping[str, Pretrained]] = {}
    head: ClassVar[str] = "classifier.5"
    stages: ClassVar[Mapping[str, Sequence[str]]] = {
        **{f"features.{number}": (f"features.{number}",) for number in range(17)},
        "classifier": ("classifier",),
    }

    def __init__(self, params: ModelParams) -> None:
        if not 0.0 <= params.dropout < 1.0:
            right = "from 0 up to, not including, 1"
            raise _refuse("model.params.dropout", params.dropout, right, ModelParams.dropout)
        self.params = params

    def accepts(self, front_end: FrontEnd) -> bool:
        """Any image of sound: the convolutions are padded and the pooling takes what there is."""
        return front_end.bins >= 1

    def minimum_samples(self, front_end: FrontEnd) -> int:
        """The shortest waveform in samples: the network itself works from one frame on, so the front end decides.

        `efficientat_mel` loses one sample to pre-emphasis and reflects half a window, which must be shorter than what
        is reflected (402 at the defaults). For another front end one full transform is enough, centred or not.
        """
        if front_end.kind == KIND:
            return front_end.window_samples // 2 + 2
        return max(front_end.window_samples, front_end.fft_samples)

    def build(self, labels: Sequence[str], front_end: FrontEnd) -> paddle.nn.Layer:  # noqa: ARG002 - any bins will do
        """A layer (B, 1, T, F) -> (B, C) logits, with random weights; `embed` gives (B, E)."""
        from pannsdist_efficientat.network import MobileNetV3

        return MobileNetV3(self.width, len(labels), self.params.dropout)


class Mn04(MobileNet):
    """Width 0.4: 0.98 million parameters at 527 classes."""

    width = 0.4
    weights: ClassVar[Mapping[str, Pretrained]] = {
        "as_mAP_432": Pretrained(
            url="https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/mn04_as_mAP_432.pt",
            sha256="899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c",
            size_bytes=4066513,
            front_end=PUBLISHED,
            classes=527,
            licence="MIT",
            source=SOURCE,
        )
    }


class Mn05(MobileNet):
    """Width 0.5."""

    width = 0.5


class Mn10(MobileNet):
    """Width 1.0."""

    width = 1.0


class Mn20(MobileNet):
    """Width 2.0."""

    width = 2.0


class Mn30(MobileNet):
    """Width 3.0."""

    width = 3.0


class Mn40(MobileNet):
    """Width 4.0."""

    width = 4.0
