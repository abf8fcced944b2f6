"""The networks of PANNs, built from the paper and the structure of its published weights.

Each is a function `(NetworkConfig) -> Layer`, features (B, 1, T, F) -> logits (B, C).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from paddle import nn

from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.builtin.panns.blocks import (
    Fold,
    Line,
    Part,
    Samples,
    SwapBins,
    conv_block,
    conv_block_5x5,
    lee_block,
    line_convolution,
    wavegram_block,
)
from pannsdist.builtin.panns.mobile import V1_WIDTHS, V2_LAST, mobile_v1, mobile_v2
from pannsdist.builtin.panns.residual import BASIC, BOTTLENECK, LINE, DaiBlock, Kind, ResNet
from pannsdist.builtin.panns.spec_augment import Mixup, SpecAugment
from pannsdist.builtin.panns.tagger import (
    AttentionTagger,
    ByFrame,
    Description,
    Embedder,
    MaxTagger,
    MeanTagger,
    Tagger,
)
from pannsdist.builtin.spectrum import LogMelSpectrum
from pannsdist.contracts.frame_head import FrameHead

BLOCK_DROPOUT, LEE_DROPOUT = 0.2, 0.1
CNN6_WIDTHS = (1, 64, 128, 256, 512)
CNN14_WIDTHS = (1, 64, 128, 256, 512, 1024, 2048)
LEE11_WIDTHS = (1, 64, 64, 64, 128, 128, 128, 128, 128, 256)
LEE24_WIDTHS = (1, 64, 96, 128, 128, 256, 256, 512, 512, 1024)
RESNET_WIDTHS = (64, 128, 256, 512)
RES1D_WIDTHS = (64, 128, 256, 512, 1024, 1024, 2048)
DECISIONS: dict[str, Callable[[Description, int], Embedder]] = {
    "clip": Tagger,
    "max": MaxTagger,
    "mean": MeanTagger,
    "attention": AttentionTagger,
}


@dataclass(frozen=True)
class NetworkConfig:
    """Input and output sizes and options of a network."""

    classes: int
    bins: int
    spec_augment: bool = False
    by_frame: FrameConfig | None = None


@dataclass(frozen=True)
class FrameConfig:
    """The head of a network that answers by frame: its name, its pooling, and the feature frames of one of its.

    `hop` of these become one before the poolings by 2 that `keep_frames` exchanges: 320 samples of a wavegram. 0: there
    are no such poolings, and a frame is what all of them leave.
    """

    head: str
    pooling: str
    frame_stride: int
    hop: int = 1


def tagger(config: NetworkConfig, description: Description, decision: str = "clip") -> Embedder:
    """The network of a description with the head that the config asks for; `decision` is one of the clip."""
    frames = config.by_frame
    if frames is None:
        return DECISIONS[decision](description, config.classes)
    head = FrameHead(description.embedding, config.classes, frames.pooling)
    return ByFrame(description, head, frames.head, frames.frame_stride, frames.hop)


def normed_bins(config: NetworkConfig) -> list[Part]:
    """First stages of all networks on log-mel: batch norm per bin, optional SpecAugment, mixup."""
    augment = [Part("spec_augment", SpecAugment())] if config.spec_augment else []
    swapped = [Part("bins_first", SwapBins()), Part("bn0", nn.BatchNorm2D(config.bins)), Part("bins_last", SwapBins())]
    return [*swapped, *augment, Part("mixup", Mixup())]


def mixed_line() -> list[Part]:
    """First stages of all networks on waveforms: line, mixup."""
    return [Part("line", Line()), Part("mixup", Mixup())]


def numbered(blocks: Sequence[nn.Layer], dropout: float, first: int = 1) -> list[Part]:
    """`conv_block1`, `conv_block2` ..., each with its dropout."""
    return [Part(f"conv_block{number}", block, dropout) for number, block in enumerate(blocks, start=first)]


def cnn14_blocks(widths: Sequence[int] = CNN14_WIDTHS) -> list[nn.Layer]:
    """Blocks of two 3x3 convolutions with pooling by 2, except in the last block."""
    pairs = list(pairwise(widths))
    return [conv_block(*pair, pool=1 if pair == pairs[-1] else 2) for pair in pairs]


def cnn6(config: NetworkConfig) -> Embedder:
    """Four blocks of one 5x5 convolution."""
    blocks = [conv_block_5x5(*pair) for pair in pairwise(CNN6_WIDTHS)]
    return tagger(config, Description([*normed_bins(config), *numbered(blocks, BLOCK_DROPOUT)], 512, 512))


def cnn10(config: NetworkConfig) -> Embedder:
    """Four blocks of two 3x3 convolutions."""
    blocks = [conv_block(*pair) for pair in pairwise(CNN6_WIDTHS)]
    return tagger(config, Description([*normed_bins(config), *numbered(blocks, BLOCK_DROPOUT)], 512, 512))


def cnn14(config: NetworkConfig, *, embedding: int = 2048, decision: str = "clip") -> Embedder:
    """Six blocks of two 3x3 convolutions, with a clip-level or segment-level head."""
    parts = [*normed_bins(config), *numbered(cnn14_blocks(), BLOCK_DROPOUT)]
    return tagger(config, Description(parts, 2048, embedding), decision)


def resnet(config: NetworkConfig, *, kind: Kind, depths: Sequence[int]) -> Embedder:
    """A block of two 3x3 convolutions, four stages of residual blocks, one more block."""
    parts = [
        *normed_bins(config),
        Part("conv_block1", conv_block(1, 64), BLOCK_DROPOUT),
        Part("resnet", ResNet(kind, RESNET_WIDTHS, depths, last=nn.AvgPool2D(2)), BLOCK_DROPOUT),
        Part("conv_block_after1", conv_block(512 * kind.expansion, 2048, pool=1), BLOCK_DROPOUT),
    ]
    return tagger(config, Description(parts, 2048, 2048))


def resnet22(config: NetworkConfig) -> Embedder:
    """Stages of 2 basic blocks each."""
    return resnet(config, kind=BASIC, depths=(2, 2, 2, 2))


def resnet38(config: NetworkConfig) -> Embedder:
    """Stages of 3, 4, 6 and 3 basic blocks."""
    return resnet(config, kind=BASIC, depths=(3, 4, 6, 3))


def resnet54(config: NetworkConfig) -> Embedder:
    """Stages of 3, 4, 6 and 3 bottlenecks."""
    return resnet(config, kind=BOTTLENECK, depths=(3, 4, 6, 3))


def mobilenet_v1(config: NetworkConfig) -> Embedder:
    """Thirteen pairs of a depthwise and a 1x1 convolution."""
    parts = [*normed_bins(config), Part("features", mobile_v1())]
    return tagger(config, Description(parts, V1_WIDTHS[-1], 1024))


def mobilenet_v2(config: NetworkConfig) -> Embedder:
    """Seventeen inverted residuals; no dropout before `fc1`."""
    parts = [*normed_bins(config), Part("features", mobile_v2())]
    return tagger(config, Description(parts, V2_LAST, 1024, clip_dropout=0.0))


def wavegram(bins: int) -> list[Part]:
    """Learned features at the log-mel's frame rate, pooled by 2: (B, 1, S, 1) -> (B, 64, T / 2, bins)."""
    widths = (64, 64, 128, 4 * bins)
    blocks = [Part(f"pre_block{n}", wavegram_block(*pair)) for n, pair in enumerate(pairwise(widths), start=1)]
    return [
        Part("line", Line()),
        Part("pre_conv0", line_convolution(1, 64, 11, stride=5)),
        Part("pre_bn0", nn.BatchNorm1D(64)),
        Part("pre_relu", nn.ReLU()),
        *blocks,
        Part("fold", Fold(4 * bins, bins)),
        Part("pre_block4", conv_block(4, 64, pool=(2, 1))),
        Part("pre_mixup", Mixup(), BLOCK_DROPOUT),
    ]


def wavegram_cnn14(config: NetworkConfig) -> Embedder:
    """CNN14 on learned features of 32 bins; `bn0` and `conv_block1` are in the published weights, but unused."""
    later = numbered(cnn14_blocks(CNN14_WIDTHS[1:]), BLOCK_DROPOUT, first=2)
    unused = [Part("bn0", nn.BatchNorm2D(64)), Part("conv_block1", conv_block(1, 64))]
    return tagger(config, Description([*wavegram(32), *later], 2048, 2048, unused=unused))


def wavegram_logmel_cnn14(config: NetworkConfig, *, mel_bins: int = 64) -> Embedder:
    """CNN14 on the log-mel, joined after the first block with learned features of half as many bins."""
    logmel_config = NetworkConfig(config.classes, mel_bins, config.spec_augment)
    image = [
        Part("samples", Samples()),
        Part("logmel", LogMelSpectrum(LogMel(LogMelParams(mel_bins=mel_bins)).front_end)),
        *normed_bins(logmel_config),
        Part("conv_block1", conv_block(1, 64), BLOCK_DROPOUT),
    ]
    later = numbered(cnn14_blocks((128, *CNN14_WIDTHS[2:])), BLOCK_DROPOUT, first=2)
    branches = [image, wavegram(mel_bins // 2)]
    return tagger(config, Description(later, 2048, 2048, branches=branches))


def res1dnet(config: NetworkConfig, *, depths: Sequence[int]) -> Embedder:
    """Seven stages of residual blocks on the waveform."""
    parts = [
        *mixed_line(),
        Part("conv0", line_convolution(1, 64, 11, stride=5)),
        Part("bn0", nn.BatchNorm1D(64)),
        Part("resnet", ResNet(LINE, RES1D_WIDTHS, depths)),
    ]
    return tagger(config, Description(parts, 2048, 2048))


def res1dnet31(config: NetworkConfig) -> Embedder:
    """Stages of 2 blocks each."""
    return res1dnet(config, depths=(2, 2, 2, 2, 2, 2, 2))


def res1dnet51(config: NetworkConfig) -> Embedder:
    """Stages of 2, 3, 4, 6, 4, 3 and 2 blocks."""
    return res1dnet(config, depths=(2, 3, 4, 6, 4, 3, 2))


def dainet19(config: NetworkConfig) -> Embedder:
    """Four residual blocks of four convolutions on the waveform (Dai et al. 2017)."""
    xavier = nn.initializer.XavierUniform()
    blocks = [DaiBlock(64, 64, 4), DaiBlock(64, 128, 4), DaiBlock(128, 256, 4), DaiBlock(256, 512, 1)]
    parts = [
        *mixed_line(),
        Part("conv0", nn.Conv1D(1, 64, 80, stride=4, bias_attr=False, weight_attr=xavier)),
        Part("bn0", nn.BatchNorm1D(64)),
        *numbered(blocks, 0.0),
    ]
    return tagger(config, Description(parts, 512, 512))


def leenet11(config: NetworkConfig) -> Embedder:
    """Nine convolutions on the waveform (Lee et al. 2017); each but the first is followed by max pooling by 3."""
    first, *rest = pairwise(LEE11_WIDTHS)
    blocks = [lee_block(*first, 1, stride=3, pool=1), *(lee_block(*pair, 1) for pair in rest)]
    return tagger(config, Description([*mixed_line(), *numbered(blocks, 0.0)], 256, 512))


def leenet24(config: NetworkConfig) -> Embedder:
    """Nine pairs of convolutions on the waveform; each but the first and last is followed by max pooling by 3."""
    first, *middle, last = pairwise(LEE24_WIDTHS)
    blocks = [lee_block(*first, 2, stride=3, pool=1), *(lee_block(*pair, 2) for pair in middle)]
    parts = [*mixed_line(), *numbered(blocks, LEE_DROPOUT), Part("conv_block9", lee_block(*last, 2, pool=1))]
    return tagger(config, Description(parts, 1024, 1024))
