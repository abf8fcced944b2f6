"""Folders of the smallest models, for servers."""

from __future__ import annotations

import paddle
import tiny
from fake_model import FEATURE_PARAMS

from pannsdist import __version__
from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.contracts.network import Network
from pannsdist.inference.bundle import BundleRecord, PluginRecord, write_bundle
from pannsdist.registry import Origin
from pannsdist.settings import to_dict

LABELS = ("rain", "wind", "dog")


def write_model(folder, name, seed=0, decisions=None):
    """A model folder with random weights."""
    paddle.seed(seed)
    feature = LogMelParams(**FEATURE_PARAMS)
    plugin, front_end = getattr(tiny, name)(tiny.TinyParams()), tiny.FakeModel.front_end
    by_frame = name == "TinyByFrame"
    layer = plugin.build_frames(LABELS, front_end, "linear_softmax") if by_frame else plugin.build(LABELS, front_end)
    network = Network(LogMel(feature).build(), layer)
    own, foreign = Origin("pannsdist", __version__), Origin("pannsdist-tiny", "1.0")
    names = {"TinyEmbedded": "tiny_embedded", "TinyByFrame": "tiny_by_frame"}
    parts = (PluginRecord(names[name], {}, foreign), PluginRecord("logmel", to_dict(feature), own))
    how = (front_end, LABELS, by_frame, 0.5, "valid/accuracy", {}, {})
    more = {"frame_samples": 4 * front_end.hop_samples, "pooling": "linear_softmax"} if by_frame else {}
    record = BundleRecord(*parts, PluginRecord("tones", {}, own), *how, decisions=decisions, **more)
    write_bundle(folder, record, network.arrays())
    return folder
