"""A network that can be asked about sound: one's own out of a model folder, or a published one for AudioSet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.network import Network
from pannsdist.inference import audioset
from pannsdist.inference.identification import load_or_name
from pannsdist.registry import Catalog
from pannsdist.runtime.errors import BadWeightsFile, UserError, candidates_line
from pannsdist.settings import SettingsOrigin, fill_params
from pannsdist.weights import read_weights
from pannsdist.weights.downloads.fetch import fetch

TAGGING_WINDOW_S = 10.0
"""AudioSet's clips are 10 s long, and so were those that the published networks learnt from."""


@dataclass(frozen=True)
class InferenceModel:
    """A network in evaluation mode, what it hears and what its outputs are called.

    It hears `window_s` of a sound at a time. A shorter sound is heard at its own length, followed by silence up to
    `shortest_s`: for a model of one's own that is the length of its evaluation, for a published one its minimum.
    """

    network: Network
    front_end: FrontEnd
    labels: Sequence[str]
    multi_label: bool
    window_s: float
    shortest_s: float
    minimum_s: float

    @property
    def rate_hz(self) -> int:
        """The rate of the waveforms that it takes."""
        return self.front_end.sample_rate_hz

    @property
    def answers_by_frame(self) -> bool:
        """Whether the network decides frame by frame."""
        return hasattr(self.network.model, "framewise")


def audioset_model(catalog: Catalog, model: str, weights: str) -> InferenceModel:
    """A network with weights for AudioSet's 527 classes: a tag of the model's, a file, or empty for its first tag.

    Raises UserError for an unknown model, for weights that are not there, and for weights of other classes.
    """
    plugin_class = catalog.models.find(model).load()
    plugin = plugin_class(fill_params(plugin_class.Params, {}, SettingsOrigin(), "model.params"))
    feature_class = catalog.features.find(plugin.feature, f"the feature of model '{model}'").load()
    feature = feature_class(
        fill_params(feature_class.Params, plugin.feature_params, SettingsOrigin(), "feature.params")
    )
    path = _weights_of(plugin, model, weights)
    labels = audioset.labels()
    layer = plugin.build(labels, feature.front_end)
    report = load_or_name(layer, read_weights(path), plugin.head, catalog)
    if report.head != "kept":
        right = f"its head was {report.head}; tagging needs weights for AudioSet's {len(labels)} classes"
        raise BadWeightsFile(f"{path} does not tag AudioSet", right, f"pannsdist weights inspect {path}")
    minimum_s = plugin.minimum_samples(feature.front_end) / feature.front_end.sample_rate_hz
    network = Network(feature.build(), layer)
    network.eval()
    return InferenceModel(network, feature.front_end, labels, True, TAGGING_WINDOW_S, minimum_s, minimum_s)


def _weights_of(plugin: object, model: str, weights: str) -> Path:
    published = getattr(plugin, "weights", {})
    tag = weights or next(iter(published), "")
    if tag in published:
        return fetch(published[tag])
    if weights and Path(weights).expanduser().is_file():
        return Path(weights).expanduser()
    wrong = f"no weights '{weights}' for model '{model}'" if weights else f"model '{model}' names no published weights"
    raise UserError(wrong, f"give a file as --weights FILE; or {candidates_line(weights, published, 'tags')}")
