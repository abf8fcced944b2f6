"""The Audio Spectrogram Transformer for pannsdist: the networks `ast_tiny`, `ast_small` and `ast_base`.

Importing this module does not import paddle. Facts from Y. Gong, Y.-A. Chung, J. Glass, "AST: Audio Spectrogram
Transformer", Interspeech 2021 (arXiv 2104.01778), and from its release (BSD-3-Clause).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pannsdist.contracts import FrontEnd, Pretrained
from pannsdist_ast.params import DEPTH, PATCH, AstParams, BaseParams, Size

if TYPE_CHECKING:
    import paddle

__all__ = ["AstBase", "AstParams", "AstSmall", "AstTiny", "BaseParams", "Size"]

SHIFT, SCALE = 4.2677393, 2 * 4.5689974
"""Normalization for AudioSet: the mean is subtracted, and the result divided by twice the standard deviation."""

FRONT_END = FrontEnd(
    kind="kaldi_fbank",
    sample_rate_hz=16000,
    window_samples=400,
    hop_samples=160,
    fft_samples=512,
    bins=128,
    low_hz=20.0,
    high_hz=8000.0,
    details=(
        ("preemphasis", 0.97),
        ("remove_dc", True),
        ("sample_scale", 1.0),
        ("scale", SCALE),
        ("shift", SHIFT),
        ("snip_edges", True),
        ("window", "hanning"),
    ),
)


class AudioSpectrogramTransformer:
    """DeiT with a distillation token, over overlapping patches of the filter bank."""

    Params: ClassVar[type] = AstParams
    size: ClassVar[Size]
    feature: ClassVar[str] = "kaldi_fbank"
    feature_params: ClassVar[Mapping[str, Any]] = {
        "mel_bins": 128,
        "window": "hanning",
        "shift": SHIFT,
        "scale": SCALE,
    }
    front_end: ClassVar[FrontEnd] = FRONT_END
    weights: ClassVar[Mapping[str, Pretrained]] = {}
    head: ClassVar[str] = "mlp_head"
    stages: ClassVar[Mapping[str, Sequence[str]]] = {
        "patch_embed": ("v.patch_embed", "v.pos_embed", "v.cls_token", "v.dist_token"),
        **{f"blocks.{number}": (f"v.blocks.{number}",) for number in range(DEPTH)},
        "norm": ("v.norm",),
    }

    def __init__(self, params: AstParams) -> None:
        self.params = params

    def accepts(self, front_end: FrontEnd) -> bool:
        """Accept any features with at least as many bins as a patch."""
        return front_end.bins >= PATCH

    def minimum_samples(self, front_end: FrontEnd) -> int:
        """The length of one patch in samples: the first frame, and fifteen hops."""
        frame = max(front_end.window_samples, front_end.fft_samples if front_end.kind != FRONT_END.kind else 0)
        return frame + (PATCH - 1) * front_end.hop_samples

    def padded_samples(self, front_end: FrontEnd) -> int:
        """The length in samples that the layer pads shorter inputs to: `padded_frames`."""
        if not self.params.padded_frames:
            return 0
        return front_end.window_samples + (self.params.padded_frames - 1) * front_end.hop_samples

    def build(self, labels: Sequence[str], front_end: FrontEnd) -> paddle.nn.Layer:
        """A layer (B, 1, T, F) -> (B, C) logits, with random weights; `embed` gives (B, E)."""
        from pannsdist_ast.network import Ast, Grid

        grid = Grid.of(self.params, front_end)
        return Ast(self.size, grid, len(labels))


class AstTiny(AudioSpectrogramTransformer):
    """5.7 million parameters at 527 classes; no weights are published."""

    size = Size(192, 3)


class AstSmall(AudioSpectrogramTransformer):
    """22 million parameters; no weights are published."""

    size = Size(384, 6)


def _published(name: str, place: str, score: str) -> Pretrained:
    return Pretrained(
        url=f"https://www.dropbox.com/s/{place}/{name}.pth?dl=1",
        sha256="",
        front_end=FRONT_END,
        classes=527,
        licence="BSD-3-Clause",
        source=(
            "Y. Gong, Y.-A. Chung, J. Glass, AST: Audio Spectrogram Transformer, Interspeech 2021, "
            f"https://github.com/YuanGongND/ast; AudioSet, {score}"
        ),
    )


class AstBase(AudioSpectrogramTransformer):
    """87 million parameters at 527 classes, with the published weights of AudioSet."""

    Params = BaseParams
    size = Size(768, 12)
    weights: ClassVar[Mapping[str, Pretrained]] = {
        "audioset": _published("audioset_10_10_0.4593", "ca0b1v2nlxzyeb4", "mean of epochs' weights, mAP 0.459"),
        "audioset_0.4495": _published("audioset_10_10_0.4495", "1tv0hovue1bxupk", "one epoch's weights, mAP 0.450"),
        "audioset_0.4483": _published("audioset_10_10_0.4483", "6u5sikl4b9wo4u5", "one epoch's weights, mAP 0.448"),
        "audioset_0.4475": _published("audioset_10_10_0.4475", "kt6i0v9fvfm1mbq", "one epoch's weights, mAP 0.448"),
    }
