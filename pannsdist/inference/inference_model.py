"""A network ready for inference: from a model folder, or with published AudioSet weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.network import Network
from pannsdist.inference import audioset
from pannsdist.inference.decisions import Decisions
from pannsdist.inference.identification import load_or_name
from pannsdist.registry import Catalog
from pannsdist.registry.building import build_plugin
from pannsdist.runtime.errors import BadWeightsFile, UserError, candidates_line, shell_command
from pannsdist.runtime.names import expanded, is_file
from pannsdist.settings import SettingsOrigin
from pannsdist.weights import read_weights
from pannsdist.weights.downloads.fetch import fetch

TAGGING_WINDOW_S = 10.0
"""The length of AudioSet's clips, on which the published weights were trained."""


@dataclass(frozen=True)
class InferenceModel:
    """A network in evaluation mode, with its front end, labels and input lengths.

    It takes `window_s` of a sound at a time. A shorter sound is padded with silence to `pad_to_s`: the evaluation
    length for a trained model, `minimum_s` for published weights and for a model whose training grouped clips by their
    length. `minimum_s` is the shortest input of the network. `name` is the model plugin, with where the weights are
    from, for messages. `decisions` are those of the model folder; None without them, or where raw scores are wanted.
    """

    network: Network
    front_end: FrontEnd
    labels: Sequence[str]
    multi_label: bool
    window_s: float
    pad_to_s: float
    minimum_s: float
    name: str = ""
    decisions: Decisions | None = None

    @property
    def rate_hz(self) -> int:
        """The sample rate of its input."""
        return self.front_end.sample_rate_hz

    @property
    def has_framewise(self) -> bool:
        """Whether the network has framewise outputs."""
        return hasattr(self.network.model, "framewise")


def audioset_model(catalog: Catalog, model: str, weights: str) -> InferenceModel:
    """A model with weights for AudioSet's 527 classes: a tag of the model, a file, or empty for its first tag.

    Raises UserError for an unknown model, for missing weights, and for weights of other classes; BrokenPlugin for a
    plugin that fails.
    """
    plugin = build_plugin(catalog.models.find(model), {}, SettingsOrigin(), "model.params").plugin
    feature_entry = catalog.features.find(plugin.feature, f"the feature of model '{model}'")
    feature = build_plugin(feature_entry, plugin.feature_params, SettingsOrigin(), "feature.params").plugin
    path = _weights_file(plugin, model, weights)
    labels = audioset.labels()
    layer = plugin.build(labels, feature.front_end)
    report = load_or_name(layer, read_weights(path), plugin.head, catalog)
    if report.head != "kept":
        right = f"its head was {report.head}; tagging needs weights for AudioSet's {len(labels)} classes"
        raise BadWeightsFile(
            f"{path} has no head for AudioSet", right, shell_command("pannsdist", "weights", "inspect", path)
        )
    minimum_s = plugin.minimum_samples(feature.front_end) / feature.front_end.sample_rate_hz
    network = Network(feature.build(), layer)
    network.eval()
    return InferenceModel(
        network, feature.front_end, labels, True, TAGGING_WINDOW_S, minimum_s, minimum_s, f"{model}, {path.name}"
    )


def _weights_file(plugin: object, model: str, weights: str) -> Path:
    published = getattr(plugin, "weights", {})
    tag = weights or next(iter(published), "")
    if tag in published:
        return fetch(published[tag])
    if weights and is_file(expanded(weights)):
        return expanded(weights)
    wrong = f"no weights '{weights}' for model '{model}'" if weights else f"model '{model}' has no published weights"
    raise UserError(wrong, f"give a file as --weights FILE; or {candidates_line(weights, published, 'tags')}")
