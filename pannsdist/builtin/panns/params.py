"""The params of the networks of PANNs."""

from __future__ import annotations

from dataclasses import dataclass

from pannsdist.contracts import param


@dataclass(frozen=True)
class JoinedNetworkParams:
    """`spec_augment` masks the log-mel in training, as in the original."""

    spec_augment: bool = False


STRIDE = "frames of 10 ms to an output frame, where events are asked for: 2, 4, 8, 16 or 32"


@dataclass(frozen=True)
class FrameStrideParams:
    """`frame_stride` frames of the spectrogram, or of what is learned in its place, are one output frame."""

    frame_stride: int = param(8, STRIDE)


@dataclass(frozen=True)
class LogMelNetworkParams(JoinedNetworkParams):
    """`frame_stride` feature frames are one output frame, where events are asked for."""

    frame_stride: int = param(8, STRIDE)
