"""Plugins for short real runs: networks of two small layers, and sounds that note which process read them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import ledger
import numpy as np
from fake_model import RATE_HZ, FakeModel

from pannsdist.contracts import Clip, FrontEnd


def install(folder: Path) -> dict[str, str]:
    """Install the plugins of this file into a folder; gives the environment in which they are found."""
    info = folder / "pannsdist_tiny-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pannsdist-tiny\nVersion: 1.0\n")
    entries = (
        "[pannsdist.models]\ntiny = tiny:Tiny\ntiny_by_frame = tiny:TinyByFrame\ntiny_embedded = tiny:TinyEmbedded\n"
    )
    entries += "[pannsdist.datasets]\nnoted = tiny:Noted\n"
    entries += "[pannsdist.trackers]\nledger = ledger:Ledger\n"
    (info / "entry_points.txt").write_text(entries)
    paths = (str(folder), str(Path(__file__).parent), os.environ.get("PYTHONPATH", ""))
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


@dataclass(frozen=True)
class TinyParams:
    """The logits of a `fragile` network are NaN for a silent clip while it is trained.

    A `plain` one has no batch norm and no dropout: its gradient is the mean over the clips of a batch.
    """

    fragile: bool = False
    plain: bool = False


class Tiny(FakeModel):
    """Convolution, batch norm, dropout and one linear layer."""

    Params = TinyParams

    def build(self, labels, front_end: FrontEnd):
        import paddle
        from paddle import nn

        fragile, plain = self.params.fragile, self.params.plain

        class TinyLayer(nn.Layer):
            def __init__(self) -> None:
                super().__init__()
                self.convolution = nn.Conv2D(1, 4, 3, padding=1)
                self.norm = nn.Identity() if plain else nn.BatchNorm2D(4)
                self.dropout = nn.Dropout(0.0 if plain else 0.2)
                self.classifier = nn.Linear(4 * front_end.bins, len(labels))
                self.relu, self.fragile = nn.ReLU(), fragile

            def forward(self, image):  # evaluated without a name of `build`, which Paddle 2.6 does not find in a trace
                maps = self.relu(self.norm(self.convolution(image / 50)))
                logits = self.classifier(self.dropout(maps.mean(axis=2).flatten(1)))
                if self.fragile and self.training:
                    is_silent = image.mean(axis=[1, 2, 3]) < -99
                    logits = logits + paddle.where(is_silent, float("nan"), 0.0).unsqueeze(1)
                return logits

        return TinyLayer()


class TinyEmbedded(Tiny):
    """The same network, which also gives the input of its last layer."""

    def build(self, labels, front_end: FrontEnd):
        layer = super().build(labels, front_end)

        class TinyLayerEmbedded(type(layer)):
            def embed(self, image):
                return self.relu(self.norm(self.convolution(image / 50))).mean(axis=2).flatten(1)

        layer.__class__ = TinyLayerEmbedded
        return layer


class TinyByFrame(Tiny):
    """The same convolution for each frame of four hops, with the head of frames."""

    def frame_samples(self, front_end: FrontEnd) -> int:
        return 4 * front_end.hop_samples

    def build_frames(self, labels, front_end: FrontEnd, pooling: str):
        from paddle import nn

        from pannsdist.contracts.frame_head import FrameHead, of_length

        plain = self.params.plain

        class TinyLayerByFrame(nn.Layer):
            def __init__(self) -> None:
                super().__init__()
                self.convolution = nn.Conv2D(1, 4, 3, padding=1)
                self.norm = nn.Identity() if plain else nn.BatchNorm2D(4)
                self.dropout = nn.Dropout(0.0 if plain else 0.2)
                self.classifier = FrameHead(4 * front_end.bins, len(labels), pooling)
                self.relu, self.pool, self.of_length = nn.ReLU(), nn.AvgPool2D((4, 1), ceil_mode=True), of_length

            def forward(self, image):
                maps = self.pool(self.relu(self.norm(self.convolution(image / 50))))
                frames = self.dropout(maps.transpose([0, 2, 1, 3]).flatten(2))
                return self.classifier(self.of_length(frames, image, 4))

        return TinyLayerByFrame()


@dataclass(frozen=True)
class NotedParams:
    """`clips` of each label and split; those named in `silent` are."""

    clips: int = 12
    silent: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class NotedSound:
    """A tone, or silence. Reading it adds its name to the file `NOTE`.RANK, where the environment sets NOTE.

    It takes SLOW_S seconds, where the environment sets that.
    """

    name: str
    pitch_hz: float

    def samples(self):
        if "NOTE" in os.environ:
            with Path(f"{os.environ['NOTE']}.{os.environ.get('PADDLE_TRAINER_ID', '0')}").open("a") as file:
                file.write(f"{self.name}\n")
        ledger.note(self.name)
        time.sleep(float(os.environ.get("SLOW_S", "0")))
        time_s = np.arange(RATE_HZ // 2) / RATE_HZ
        return (0.3 * np.sin(2 * np.pi * self.pitch_hz * time_s)).astype(np.float32), RATE_HZ


class Noted:
    """High tones and low ones."""

    Params = NotedParams
    labels, multi_label, splits = ("high", "low"), False, ("train", "valid")

    def __init__(self, params: NotedParams) -> None:
        self.params = params

    def clips(self, split: str) -> list[Clip]:
        pitches = {"high": 2500.0, "low": 400.0}
        return [
            self._clip(f"{split}/{label}/{number}", label, pitches[label] + 9 * number)
            for label in self.labels
            for number in range(self.params.clips)
        ]

    def _clip(self, name: str, label: str, pitch_hz: float) -> Clip:
        pitch_hz = 0.0 if name in self.params.silent else pitch_hz
        return Clip(name, NotedSound(name, pitch_hz), (label,))
