"""The networks `frame_mn04` to `frame_mn30`: one class per published width, with its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pannsdist.contracts import FrontEnd, NoParams, Pretrained
from pannsdist_frame_mn.feature import KIND, FrameMnMel, MelParams

if TYPE_CHECKING:
    import paddle

RELEASE = "https://github.com/theMoro/EfficientSED/releases/download/v0.0.1"
FRONT_END = FrameMnMel(MelParams()).front_end
STRONG_CLASSES, WEAK_CLASSES = 447, 527
FRAME_STRIDE = 4
"""Feature frames to an output frame: 40 ms."""
PAPER = "Morocutti et al. 2025 (arXiv 2503.11373), EfficientSED v0.0.1"


def published_weights(name: str, psds1: float) -> dict[str, Pretrained]:
    """The two published files of a network. The release has no checksums; the score is a mean over trainings."""

    def file(tag: str, classes: int, score: str) -> Pretrained:
        return Pretrained(f"{RELEASE}/{name}_{tag}.pt", "", FRONT_END, classes, "MIT", f"{PAPER}, {score}")

    strong = file("strong", STRONG_CLASSES, f"PSDS1 {psds1:.2f} on AudioSet Strong")
    return {"strong": strong, "weak": file("weak", WEAK_CLASSES, "trained on AudioSet's labels of clips")}


class _FrameMn:
    """MobileNetV3-Large whose bins are reduced to one and whose frames by 4."""

    Params = NoParams
    feature: ClassVar[str] = KIND
    feature_params: ClassVar[Mapping[str, Any]] = {}
    front_end: ClassVar[FrontEnd] = FRONT_END
    weights: ClassVar[Mapping[str, Pretrained]]
    head: ClassVar[str] = "strong_head"
    static_graph: ClassVar[bool] = True
    stages: ClassVar[Mapping[str, Sequence[str]]] = {
        f"features.{number}": (f"model.features.{number}",) for number in range(17)
    }
    width: ClassVar[float]
    psds1: ClassVar[float]

    def __init_subclass__(cls) -> None:
        cls.weights = published_weights(f"fmn{round(10 * cls.width):02d}", cls.psds1)

    def __init__(self, params: NoParams) -> None:
        self.params = params

    def accepts(self, front_end: FrontEnd) -> bool:
        """Accept any front end: convolutions are padded, and what is left of the bins is averaged."""
        return front_end.bins >= 1

    def minimum_samples(self, front_end: FrontEnd) -> int:
        """The minimum length in samples: the network needs only one frame, so the front end decides.

        `frame_mn_mel` loses one sample to pre-emphasis, and its reflection padding of half a window must be shorter
        than the signal. Other front ends need one full transform, centred or not.
        """
        if front_end.kind == KIND:
            return front_end.window_samples // 2 + 2
        return max(front_end.window_samples, front_end.fft_samples)

    def frame_samples(self, front_end: FrontEnd) -> int:
        """The samples of an output frame: 40 ms with the published front end."""
        return FRAME_STRIDE * front_end.hop_samples

    def build(self, labels: Sequence[str], front_end: FrontEnd) -> paddle.nn.Layer:  # noqa: ARG002 - independent of the front end
        """A layer (B, 1, T, F) -> (B, C) logits, of the mean over frames; `embed` gives (B, E)."""
        from pannsdist_frame_mn.network import ClipMobileNet

        return ClipMobileNet(self.width, len(labels))

    def build_frames(self, labels: Sequence[str], front_end: FrontEnd, pooling: str) -> paddle.nn.Layer:  # noqa: ARG002 - independent of the front end
        """A layer (B, 1, T, F) -> (B, T' + 1, C) logits of frames and, last, of the clip."""
        from pannsdist_frame_mn.network import FrameMobileNet

        return FrameMobileNet(self.width, len(labels), pooling, FRAME_STRIDE)


class FrameMn04(_FrameMn):
    """EfficientSED fmn04: width 0.4."""

    width, psds1 = 0.4, 39.52


class FrameMn06(_FrameMn):
    """EfficientSED fmn06: width 0.6."""

    width, psds1 = 0.6, 40.75


class FrameMn10(_FrameMn):
    """EfficientSED fmn10: width 1."""

    width, psds1 = 1.0, 42.28


class FrameMn20(_FrameMn):
    """EfficientSED fmn20: width 2."""

    width, psds1 = 2.0, 43.86


class FrameMn30(_FrameMn):
    """EfficientSED fmn30: width 3."""

    width, psds1 = 3.0, 44.24
