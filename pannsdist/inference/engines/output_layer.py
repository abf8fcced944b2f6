"""One output of a network as a layer: a window in, or a whole sound; probabilities or an embedding out."""

from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import nn

from pannsdist.contracts.network import Network
from pannsdist.inference.windowing import Windowing
from pannsdist.runtime.errors import UserError

SCORES, LOGITS, EMBEDDING, FRAMEWISE = "scores", "logits", "embedding", "framewise"
METHODS = {EMBEDDING: "embed", FRAMEWISE: "framewise"}
"""The method of the model that computes an output; `scores` are the `logits` through sigmoid or softmax."""


class OutputLayer(nn.Layer):
    """(B, S) waveform -> probabilities or logits (B, C), embedding (B, E) or framewise probabilities (B, T, C).

    Raises UserError for an output that the network does not have.
    """

    def __init__(self, network: Network, output: str, multi_label: bool) -> None:
        super().__init__()
        method = None if output == FRAMEWISE and network.frame_samples else METHODS.get(output)
        if method is not None and not hasattr(network.model, method):
            wrong = f"the network {type(network.model).__name__} has no {output} output"
            raise UserError(wrong, f"its layer has no method `{method}`; choose another model")
        self.network = network
        self.output = output
        self.multi_label = multi_label

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) float32 at the front end's rate -> the output."""
        features = self.network.features(waveform)
        if self.output == "embedding":
            return self.network.model.embed(features)
        if self.output == "framewise" and not self.network.frame_samples:
            return self.network.model.framewise(features)
        logits = self.network.model(features)
        if self.network.frame_samples:  # the last row is that of the clip
            logits = logits[:, :-1] if self.output == "framewise" else logits[:, -1]
        if self.output == "logits":
            return logits
        if self.multi_label:
            return F.sigmoid(logits)
        return F.softmax(logits, axis=-1)


class SoundLayer(nn.Layer):
    """(B, S) sounds -> (B, C): what `Predictor.predict` gives, for any S from 1: windows, padding and their mean.

    Windows and padding are one gather, whose indices past the end are masked. It needs no padding operator, which some
    converters and engines compute wrongly, and traces to a graph for any batch size and length.
    """

    def __init__(self, network: Network, multi_label: bool, windowing: Windowing) -> None:
        super().__init__()
        self.window_layer = OutputLayer(network, SCORES, multi_label)
        self.windowing = windowing

    @property
    def network(self) -> Network:
        """The network of each window."""
        network: Network = self.window_layer.network
        return network

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Sounds (B, S) float32 at the front end's rate -> the mean over the windows of each."""
        windows, count = self._windows(waveform)
        outputs = self.window_layer(windows)
        return outputs.reshape([-1, count, outputs.shape[1]]).mean(axis=1)

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
