"""The params of the networks of PANNs."""

from __future__ import annotations

from dataclasses import dataclass

from pannsdist.contracts import param


@dataclass(frozen=True)
class JoinedNetworkParams:
    """`spec_augment` masks the log-mel in training, as in the original."""

    spec_augment: bool = False


@dataclass(frozen=True)
class LogMelNetworkParams(JoinedNetworkParams):
    """`frame_stride` feature frames are one output frame, where events are asked for."""

    frame_stride: int = param(8, "feature frames to an output frame, where events are asked for: 2, 4, 8, 16 or 32")
