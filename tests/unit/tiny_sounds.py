"""A small model with every output, for the tests of engines and exports."""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from small_parts import FEATURE_PARAMS, RATE_HZ, SmallLayer, SmallModel

from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.contracts.network import Network
from pannsdist.inference.engines.kinds import engine_kind
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.runtime.errors import UserError

LABELS = ("a", "b", "c")
WINDOW_S = 0.2


class FullLayer(SmallLayer):
    """The small layer, with an embedding and framewise outputs."""

    def embed(self, image):
        return self.norm(image.squeeze(1).transpose([0, 2, 1])).mean(axis=2)

    def framewise(self, image):
        frames = self.norm(image.squeeze(1).transpose([0, 2, 1])).transpose([0, 2, 1])
        return F.sigmoid(self.classifier(paddle.concat([frames, frames], axis=2)))


class WaveringLayer(SmallLayer):
    """Gives other outputs in a static graph."""

    def forward(self, image):
        factor = 1.0 if paddle.in_dynamic_mode() else -3.0
        return factor * SmallLayer.forward(self, image)  # Paddle 2.6 knows no super() in a graph


class DriftingLayer(SmallLayer):
    """Its first logit differs by `DRIFT` in a static graph."""

    DRIFT = 0.0

    def forward(self, image):
        drift = 0.0 if paddle.in_dynamic_mode() else self.DRIFT
        return SmallLayer.forward(self, image) + paddle.to_tensor([drift, 0.0, 0.0])


class StubbornLayer(SmallLayer):
    """Cannot be compiled to a static graph."""

    def forward(self, image):
        if not paddle.in_dynamic_mode():
            raise NotImplementedError("no graph")
        return SmallLayer.forward(self, image)


def inference_model(layer=FullLayer, multi_label=False, trained=True):
    """A model with random weights; a trained one pads to its window, a published one to what its network needs."""
    paddle.seed(0)
    feature = LogMel(LogMelParams(**FEATURE_PARAMS)).build()
    network = Network(feature, layer(FEATURE_PARAMS["mel_bins"], len(LABELS)))
    network.eval()
    minimum_s = 512 / RATE_HZ
    pad_to_s = WINDOW_S if trained else minimum_s
    return InferenceModel(network, SmallModel.front_end, LABELS, multi_label, WINDOW_S, pad_to_s, minimum_s)


def noise(clips, samples, seed=0):
    """Waveforms (B, S)."""
    return np.random.default_rng(seed).normal(0, 0.1, (clips, samples)).astype(np.float32)


def skip_unless_installed(name):
    """ONNX is an extra, and asks for Paddle 3; onednn asks for the oneDNN of Paddle 3.3."""
    try:
        engine_kind(name, "fp32")
    except UserError as error:
        pytest.skip(str(error))
