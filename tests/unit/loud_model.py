"""A model that hears how loud a sound is, and a folder of it that any process can load: for tests of streams."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import paddle
import small_parts
from fake_model import RATE_HZ, FakeModel
from paddle import nn

from pannsdist.builtin.logmel import LogMelParams
from pannsdist.contracts import NoParams
from pannsdist.contracts.network import Network
from pannsdist.inference.bundle import BundleRecord, PluginRecord, write_bundle
from pannsdist.registry import Origin
from pannsdist.settings import to_dict

LABELS = ("loud", "quiet")
HERE = Path(__file__).resolve().parent


class LoudLayer(nn.Layer):
    """(B, 1, T, F) -> (B, 2): how far the mean level is above and below -40 dB."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(1, 2)
        self.classifier.weight.set_value(paddle.to_tensor([[1.0, -1.0]]))
        self.classifier.bias.set_value(paddle.to_tensor([40.0, -40.0]))

    def forward(self, image):
        return self.classifier(image.mean(axis=[2, 3]))


class LoudModel(FakeModel):
    """A model plugin."""

    def build(self, labels, front_end):  # noqa: ARG002 - two classes, any front end
        return LoudLayer()


def write_model(folder: Path) -> dict[str, str]:
    """A model folder, `folder/model`; the environment in which processes find its plugin."""
    small_parts.install(folder, "loud-model", "[pannsdist.models]\nloud = loud_model:LoudModel\n")
    feature = LogMelParams(**small_parts.FEATURE_PARAMS)
    own, origin = Origin("pannsdist", "1.0"), Origin("loud-model", "1.0")
    parts = (PluginRecord("loud", {}, origin), PluginRecord("logmel", to_dict(feature), own))
    how = (LoudModel.front_end, LABELS, True, 1.0, "valid/mAP", {}, {})
    layer = LoudModel(NoParams()).build(LABELS, LoudModel.front_end)
    arrays = Network(nn.Identity(), layer).arrays()
    write_bundle(folder / "model", BundleRecord(*parts, PluginRecord("tones", {}, own), *how), arrays)
    path = [str(folder), str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def sound(levels, rate_hz: int = RATE_HZ) -> np.ndarray:
    """A second of noise of each level: (S,) float32."""
    chance = np.random.default_rng(0)
    return np.concatenate([level * chance.uniform(-1, 1, rate_hz) for level in levels]).astype(np.float32)
