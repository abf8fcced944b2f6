"""Parts of a run that are as small as they can be and real all the same: a model, its plugin, a catalog, sounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import paddle
from fake_model import FEATURE_PARAMS, FRONT_END, RATE_HZ, FakeModel
from paddle import nn

from pannsdist import __version__
from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.contracts import Clip, FrontEnd, NoParams, Pretrained, Samples
from pannsdist.contracts.network import Network
from pannsdist.inference.bundle import BundleRecord, PluginRecord, write_bundle
from pannsdist.registry import Catalog, Entry, Origin, Registry
from pannsdist.settings import to_dict


class SmallLayer(nn.Layer):
    """(B, 1, T, F) -> (B, C): batch norm over the bins, the mean and the maximum over time, one linear layer."""

    def __init__(self, bins: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1D(bins)
        self.classifier = nn.Linear(2 * bins, classes)

    def forward(self, image):
        normed = self.norm(image.squeeze(1).transpose([0, 2, 1]))
        both = [normed.mean(axis=2), normed.max(axis=2)]
        return self.classifier(nn.functional.dropout(_joined(both), 0.1, training=self.training))


def _joined(parts):
    import paddle

    return paddle.concat(parts, axis=1)


class SmallModel(FakeModel):
    """A model plugin."""

    weights: ClassVar[Mapping[str, Pretrained]] = {
        "published": Pretrained("https://example.org/small.pdparams", "0" * 64, FRONT_END, 3, "MIT", "nobody")
    }

    def minimum_samples(self, front_end: FrontEnd) -> int:
        return max(front_end.hop_samples * 4, front_end.fft_samples)

    def build(self, labels, front_end: FrontEnd) -> SmallLayer:
        return SmallLayer(front_end.bins, len(labels))


@dataclass(frozen=True)
class ListedParams:
    """`fault` is what is wrong with the dataset."""

    fault: str = ""


class Listed:
    """A dataset plugin of two clips a split, with one fault if one is asked for."""

    Params = ListedParams
    labels = ("high", "low")
    multi_label = False
    splits = ("train", "valid")

    def __init__(self, params: ListedParams) -> None:
        self.fault = params.fault
        if self.fault == "breaks":
            raise ZeroDivisionError("division by zero")
        if self.fault == "labels":
            self.labels = ("high", "high")

    def clips(self, split: str) -> list[Clip]:
        clips = [Clip(f"{split}/{number}", tone(500.0 + 1000 * number), (self.labels[number],)) for number in (0, 1)]
        if self.fault == f"empty {split}":
            return []
        if self.fault == "leak" and split == "valid":
            clips[1] = replace(clips[1], id="train/1")
        if self.fault == "double" and split == "train":
            clips[1] = replace(clips[1], id="train/0")
        if self.fault == "unknown label" and split == "train":
            clips[1] = replace(clips[1], labels=("shrill",))
        if self.fault == "bytes in an id" and split == "train":
            clips[1] = replace(clips[1], id="train/\udcb9")
        if self.fault == "two labels" and split == "train":
            clips[1] = replace(clips[1], labels=("high", "low"))
        return clips


def tone(hz: float, duration_s: float = 0.5, rate_hz: int = RATE_HZ, level: float = 0.5) -> Samples:
    """A steady sine in memory."""
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    return Samples((level * np.sin(2 * np.pi * hz * time_s)).astype(np.float32), rate_hz)


def tone_clips(count: int, duration_s: float = 0.5) -> list[Clip]:
    """Clips of two labels, high and low, each of its own pitch."""
    pitch = (2200.0, 400.0)
    labels = ("high", "low")
    return [
        Clip(f"clip{number:03d}", tone(pitch[number % 2] + 7 * number, duration_s), (labels[number % 2],))
        for number in range(count)
    ]


def catalog() -> Catalog:
    """The installed plugins, and the small ones of this file."""
    installed = Catalog.installed()
    origin = Origin("small-parts", "1.0")
    own = (
        Entry("model", "small", origin, "small_parts:SmallModel"),
        Entry("dataset", "listed", origin, "small_parts:Listed"),
    )
    more = {
        entry.kind: Registry(entry.kind, {**installed.registry(entry.kind).entries, entry.name: (entry,)})
        for entry in own
    }
    return Catalog({**installed.registries, **more})


def write_small_bundle(folder: Path, labels=("high", "low"), multi_label: bool = False, crop_s: float = 0.2) -> Network:
    """A model folder of the small model with random weights; its network."""
    paddle.seed(0)
    feature = LogMelParams(**FEATURE_PARAMS)
    network = Network(LogMel(feature).build(), SmallModel(NoParams()).build(labels, SmallModel.front_end))
    own, origin = Origin("pannsdist", __version__), Origin("small-parts", "1.0")
    parts = (PluginRecord("small", {}, origin), PluginRecord("logmel", to_dict(feature), own))
    dataset = PluginRecord("tones", {}, own)
    how = (SmallModel.front_end, tuple(labels), multi_label, crop_s, "valid/accuracy", {}, {})
    write_bundle(folder, BundleRecord(*parts, dataset, *how), network.arrays())
    network.eval()
    return network


def install(folder: Path, name: str, lines: str, version: str = "1.0") -> None:
    """A distribution on disk that declares entry points."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(lines, encoding="utf-8")
