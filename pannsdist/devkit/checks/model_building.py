"""Networks of a model plugin, as its checks build them."""

from __future__ import annotations

from typing import Any

import paddle

from pannsdist.contracts.network import Network
from pannsdist.devkit.checking import Subject
from pannsdist.inference.engines.output_layer import SCORES, OutputLayer

FEW, MANY = 2, 50


def feature_of(subject: Subject, model: Any, **params: Any) -> Subject:
    """The feature that a model was built for, with some of its params changed."""
    entry = subject.catalog.features.find(model.feature, f"the feature of model '{subject.entry.name}'")
    return Subject(entry, {**model.feature_params, **params}, subject.catalog)


def built(subject: Subject, classes: int = FEW, seed: int = 0) -> Network:
    """Feature and model of a plugin, with random weights, for a number of classes."""
    model = subject.plugin()
    paddle.seed(seed)
    feature = feature_of(subject, model).plugin()
    labels = tuple(f"label {number}" for number in range(classes))
    return Network(feature.build(), model.build(labels, feature.front_end))


def minimum_samples(subject: Subject) -> int:
    """The minimum length of its waveforms, in samples."""
    model = subject.plugin()
    return int(model.minimum_samples(model.front_end))


class LogitsLayer(OutputLayer):
    """(B, S) -> logits, since a sigmoid would hide differences."""

    def __init__(self, network: Network) -> None:
        super().__init__(network, SCORES, multi_label=True)

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """The logits."""
        return self.network(waveform)
