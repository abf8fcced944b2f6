"""For the tests of the PaddleHub face: a network that trains in milliseconds and without chance, and its dataset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import paddle
from fake_model import BINS, FRONT_END, FakeModel
from paddle import nn

from pannsdist.contracts import FrontEnd, Pretrained
from pannsdist.weights.downloads import cache
from pannsdist.weights.formats.writing import write_weights


class PlainLayer(nn.Layer):
    """(B, 1, T, F) -> (B, C): the mean over time, then two linear layers. Neither dropout nor batch norm."""

    def __init__(self, bins: int, classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(bins, 8)
        self.classifier = nn.Linear(8, classes)

    def forward(self, image):
        return self.classifier(nn.functional.relu(self.hidden(image.mean(axis=[1, 2]) / 50.0)))


class Plain(FakeModel):
    """A model plugin, installed by `install`."""

    weights: ClassVar[Mapping[str, Pretrained]] = {
        "audioset": Pretrained("https://example.org/plain.pdparams", "", FRONT_END, 527, "MIT", "nobody")
    }

    def build(self, labels, front_end: FrontEnd) -> PlainLayer:
        return PlainLayer(front_end.bins, len(labels))


class Features(paddle.io.Dataset):
    """Features (T, F) of three classes, which differ in the bins that are loud."""

    label_list = ("low", "middle", "high")

    def __init__(self, count: int = 12, frames: int = 9) -> None:
        self.count, self.frames = count, frames

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.int64]:
        label = index % 3
        features = np.random.default_rng(index).normal(-60.0, 5.0, (self.frames, BINS)).astype(np.float32)
        features[:, 5 * label : 5 * label + 5] += 40.0
        return features, np.int64(label)


def install(folder: Path) -> None:
    """A distribution in `folder` that offers the model `plain`; the folder must be on sys.path."""
    info = folder / "hub_parts-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hub-parts\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[pannsdist.models]\nplain = hub_parts:Plain\n", encoding="utf-8")


def put_weights(plugin: Any, layer: nn.Layer) -> Path:
    """Random weights where the published ones of a model belong, with the checksum that the first download keeps."""
    weights = next(iter(plugin.weights.values()))
    path = cache.local_path(weights.url)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name("written.pdparams")
    write_weights(written, {name: tensor.numpy() for name, tensor in layer.state_dict().items()})
    written.rename(path)
    cache.checksum_path(path).write_text(f"# {weights.url}\n{cache.sha256(path)}  {path.name}\n", encoding="utf-8")
    return path
