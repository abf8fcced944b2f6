"""A network ready for inference: from a model folder, or with published AudioSet weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.network import Network
from pannsdist.inference import audioset
from pannsdist.inference.decisions import Decisions
from pannsdist.inference.frame_windows import FrameWindows
from pannsdist.inference.identification import load_or_name
from pannsdist.registry import Catalog
from pannsdist.registry.building import build_plugin
from pannsdist.runtime.errors import BadWeightsFile, UserError, candidates_line, shell_command
from pannsdist.runtime.names import expanded, is_file
from pannsdist.settings import SettingsOrigin
from pannsdist.weights import read_weights
from pannsdist.weights.downloads.fetch import fetch

DETECTION_WINDOW_S = 1.0
TAGGING_WINDOW_S = 10.0
"""The length of AudioSet's clips, on which the published weights were trained."""


SEGMENT_WINDOW_FRAMES = 4096
"""About 41 s of PANNs' frames of 10 ms: longer windows compute less twice."""
SEGMENT_MARGIN_FRAMES = 192
"""Of PANNs with segments: one covers 32 frames, and its receptive field reaches 160 more to either side: two
convolutions of 3 after each of five poolings by 2, three segments in the last pooling, and half a Fourier window.
"""
LOCAL_WINDOW_S = 40.96
MARGIN_PART = 12
"""A window of a network whose frames depend on all of it gives up this part of itself at either seam."""


@dataclass(frozen=True)
class InferenceModel:
    """A network in evaluation mode, with its front end, labels and input lengths.

    It takes `window_s` of a sound at a time. A shorter sound is padded with silence to `pad_to_s`: the evaluation
    length for a trained model, `minimum_s` for published weights and for a model whose training grouped clips by their
    length. `minimum_s` is the shortest input of the network. `name` is the model plugin, with where the weights are
    from, for messages. `frame_samples` is the length of a frame of a network that answers by frame, else 0.
    `decisions` are those of the model folder; None without them, or where raw scores are wanted.
    """

    network: Network
    front_end: FrontEnd
    labels: Sequence[str]
    multi_label: bool
    window_s: float
    pad_to_s: float
    minimum_s: float
    name: str = ""
    frame_samples: int = 0
    decisions: Decisions | None = None

    @property
    def rate_hz(self) -> int:
        """The sample rate of its input."""
        return self.front_end.sample_rate_hz

    @property
    def detection_window_s(self) -> float:
        """The window in which `detect` looks for the events of a network without frames."""
        return max(self.minimum_s, min(DETECTION_WINDOW_S, self.window_s))

    def summary(self, window_s: float | None = None) -> str:
        """Plugin and weights, classes, sample rate and window, on one line."""
        kind = "several labels a sound" if self.multi_label else "one label a sound"
        some = ", ".join(self.labels[:3]) + (", ..." if len(self.labels) > 3 else "")
        windows = f"windows of {window_s or self.window_s:g} s"
        return f"{self.name}: {len(self.labels)} classes ({some}), {kind}, {self.rate_hz} Hz, {windows}"

    @property
    def has_framewise(self) -> bool:
        """Whether the network has framewise outputs."""
        return bool(self.frame_samples) or hasattr(self.network.model, "framewise")

    @property
    def frame_s(self) -> float:
        """The length of a frame; 0 of a network without."""
        return self._frame_samples / self.rate_hz

    @property
    def frame_windows(self) -> FrameWindows:
        """How a sound is cut into windows for its frames; of a model that `has_framewise`."""
        if not self.frame_samples:
            return FrameWindows(self.front_end.hop_samples, SEGMENT_WINDOW_FRAMES, SEGMENT_MARGIN_FRAMES)
        reach = getattr(self.network.model, "reach_features", None)
        if reach is None:
            window = max(1, round(self.window_s * self.rate_hz / self.frame_samples))
            return FrameWindows(self.frame_samples, window, window // MARGIN_PART, is_whole=True)
        front_end = self.front_end
        around = reach * front_end.hop_samples + max(front_end.window_samples, front_end.fft_samples)
        margin, window = -(-around // self.frame_samples), round(LOCAL_WINDOW_S * self.rate_hz / self.frame_samples)
        return FrameWindows(self.frame_samples, max(window, 4 * margin), margin)

    @property
    def _frame_samples(self) -> int:
        if self.frame_samples or not self.has_framewise:
            return self.frame_samples
        return self.front_end.hop_samples


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
