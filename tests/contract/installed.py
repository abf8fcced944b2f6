"""The installed plugins that the contract is held against, and the smallest sounds for them."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from pannsdist.network import Network
from pannsdist.registry import Catalog, Entry
from pannsdist.settings import Source, fill_params

CATALOG = Catalog.installed()
BIG = {
    "efficientat_mn20": "its computing is that of efficientat_mn10, on four times the weights",
    "efficientat_mn30": "its computing is that of efficientat_mn10, on nine times the weights",
    "efficientat_mn40": "its computing is that of efficientat_mn10, on sixteen times the weights",
    **{
        f"panns_{name}": "60 million weights or more; tests/unit/builtin holds its numbers against the original's"
        for name in (
            *("cnn14", "cnn14_16k", "cnn14_8k", "cnn14_mel32", "cnn14_mel128", "resnet22", "resnet38", "resnet54"),
            *("cnn14_emb512", "cnn14_emb128", "cnn14_emb32", "res1dnet31", "res1dnet51"),
            *("wavegram_cnn14", "wavegram_logmel_cnn14", "wavegram_logmel128_cnn14"),
            *("cnn14_decisionlevelmax", "cnn14_decisionlevelavg", "cnn14_decisionlevelatt"),
        )
    },
}
"""Models that are only asked what they say of themselves, and why."""


def chosen(kind: str) -> list[Entry]:
    """The plugins of a kind, each once: a published name such as `Cnn14` is another name of the same plugin."""
    return [entry for entry in CATALOG.registry(kind) if entry.name == entry.name.lower()]


def entries(kind: str) -> list[object]:
    """The plugins of a kind, as parameters of a test."""
    return [pytest.param(entry, id=entry.name) for entry in chosen(kind)]


def small_models() -> list[object]:
    """The models that are built and run; the others are skipped with their reason."""
    return [
        pytest.param(
            entry, id=entry.name, marks=[pytest.mark.skip(reason=BIG[entry.name])] if entry.name in BIG else []
        )
        for entry in chosen("model")
    ]


def opened(entry: Entry, **params: object):
    """The plugin with these params, the others at their defaults."""
    plugin_class = entry.load()
    return plugin_class(fill_params(plugin_class.Params, params, Source(), "params"))


def feature_of(model, **params: object):
    """The feature that a model was made for."""
    return opened(CATALOG.features.find(model.feature), **{**model.feature_params, **params})


def built(entry: Entry, classes: int = 2, seed: int = 0) -> Network:
    """Feature and model of a plugin, for so many classes."""
    model = opened(entry)
    paddle.seed(seed)
    feature = feature_of(model)
    labels = tuple(f"label {number}" for number in range(classes))
    return Network(feature.build(), model.build(labels, feature.front_end))


def shortest(entry: Entry) -> int:
    """The shortest waveform of a model, in samples."""
    model = opened(entry)
    return model.minimum_samples(model.front_end)


def noise(clips: int, samples: int, seed: int = 0) -> paddle.Tensor:
    """Noise of different loudness in each clip: (B, S)."""
    loudness = np.linspace(0.02, 0.3, clips)[:, None]
    samples_of = np.random.default_rng(seed).normal(size=(clips, samples))
    return paddle.to_tensor((loudness * samples_of).astype(np.float32))
