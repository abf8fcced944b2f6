"""One output of a network as a layer: a window in, or a whole sound; probabilities or an embedding out."""

from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import nn

from pannsdist.contracts.network import Network
from pannsdist.inference.decisions import Decisions
from pannsdist.inference.windowing import Windowing
from pannsdist.runtime.errors import UserError

SCORES, LOGITS, EMBEDDING, FRAMEWISE = "scores", "logits", "embedding", "framewise"
DECIDED = "decided"
METHODS = {EMBEDDING: "embed", FRAMEWISE: "framewise"}
"""The method of the model that computes an output; `scores` are the `logits` through sigmoid or softmax.

`decided` are the scores of logits divided by a temperature, and their energy as a further column.
"""


class OutputLayer(nn.Layer):
    """(B, S) waveform -> probabilities or logits (B, C), embedding (B, E) or framewise probabilities (B, T, C).

    The frames of a network that is trained by frame are of logits divided by `temperature`.

    With the output `decided` (B, C + 1): probabilities of logits divided by `temperature`, then their energy, which
    `inference.decisions.energies` describes.

    Raises UserError for an output that the network does not have.
    """

    def __init__(self, network: Network, output: str, multi_label: bool, temperature: float = 1.0) -> None:
        super().__init__()
        method = None if output == FRAMEWISE and network.frame_samples else METHODS.get(output)
        if method is not None and not hasattr(network.model, method):
            wrong = f"the network {type(network.model).__name__} has no {output} output"
            raise UserError(wrong, f"its layer has no method `{method}`; choose another model")
        self.network = network
        self.output = output
        self.multi_label = multi_label
        self.temperature = temperature

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) float32 at the front end's rate -> the output."""
        features = self.network.features(waveform)
        if self.output == "embedding":
            return self.network.model.embed(features)
        if self.output == "framewise" and not self.network.frame_samples:
            return self.network.model.framewise(features)
        logits = self.network.model(features)
        if self.network.frame_samples:  # the last row is that of the clip
            logits = logits[:, :-1] / self.temperature if self.output == "framewise" else logits[:, -1]
        if self.output == "logits":
            return logits
        if self.output == "decided":
            return self._decided(logits / self.temperature)
        if self.multi_label:
            return F.sigmoid(logits)
        return F.softmax(logits, axis=-1)

    def _decided(self, logits: paddle.Tensor) -> paddle.Tensor:
        """The energy comes first: Paddle Inference computes softmax in place, also of what is used later (3.3.1)."""
        if self.multi_label:
            energy = F.softplus(logits).sum(axis=1, keepdim=True)
            return paddle.concat([F.sigmoid(logits), energy], axis=1)
        energy = paddle.logsumexp(logits, axis=1, keepdim=True)
        return paddle.concat([F.softmax(logits, axis=-1), energy], axis=1)


PROBABILITIES, DECISIONS, ENERGY = "probabilities", "decisions", "energy"
"""The outputs of the graph of a model with decisions."""


class SoundLayer(nn.Layer):
    """(B, S) sounds -> (B, C): what `Predictor.predict` gives, for any S from 1: windows, padding and their mean.

    With `decisions` three outputs: the calibrated probabilities (B, C), the decisions (B, C) bool, of which a row
    without is none of these, and the energy (B,).

    Windows and padding are one gather, whose indices past the end are masked. It needs no padding operator, which some
    converters and engines compute wrongly, and traces to a graph for any batch size and length.
    """

    def __init__(
        self, network: Network, multi_label: bool, windowing: Windowing, decisions: Decisions | None = None
    ) -> None:
        super().__init__()
        output, temperature = (DECIDED, decisions.temperature) if decisions else (SCORES, 1.0)
        self.window_layer = OutputLayer(network, output, multi_label, temperature)
        self.windowing, self.decisions = windowing, decisions

    @property
    def network(self) -> Network:
        """The network of each window."""
        network: Network = self.window_layer.network
        return network

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor | tuple[paddle.Tensor, ...]:
        """Sounds (B, S) float32 at the front end's rate -> the mean over the windows of each, or what it decides."""
        windows, count = self._windows(waveform)
        outputs = self.window_layer(windows)
        means = outputs.reshape([-1, count, outputs.shape[1]]).mean(axis=1)
        if self.decisions is None:
            return means
        probabilities, energy = means[:, :-1], means[:, -1]
        return probabilities, self._chosen(probabilities, energy), energy

    def _chosen(self, probabilities: paddle.Tensor, energy: paddle.Tensor) -> paddle.Tensor:
        """What `Decisions.chosen` gives, in a graph."""
        assert self.decisions is not None
        if self.window_layer.multi_label:
            return probabilities >= paddle.to_tensor(self.decisions.thresholds, dtype="float32")
        columns = paddle.arange(len(self.decisions.thresholds), dtype="int64")
        top = columns.unsqueeze(0) == probabilities.argmax(axis=1).unsqueeze(1)
        if self.decisions.min_energy is None:
            return top
        return paddle.logical_and(top, (energy >= self.decisions.min_energy).unsqueeze(1))

    def _windows(self, waveform: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Sounds (B, S) -> their windows one after the other (B * N, W), and N. The last one ends where they end."""
        samples = paddle.shape(waveform)[1].astype("int64")
        padded = paddle.clip(samples, min=self.windowing.pad_to)
        window = self.windowing.window
        if self.windowing.pad_to < window:
            window = paddle.clip(padded, max=window)
        count = (padded - window + self.windowing.hop - 1) // self.windowing.hop + 1
        first = paddle.minimum(paddle.arange(count, dtype="int64") * self.windowing.hop, padded - window)
        places = first.unsqueeze(1) + paddle.arange(window, dtype="int64").unsqueeze(0)
        inside = (places < samples).astype("float32")
        found = paddle.gather(waveform, paddle.minimum(places, samples - 1).flatten(), axis=1)
        return (found.reshape([-1, count, window]) * inside).reshape([-1, window]), count
