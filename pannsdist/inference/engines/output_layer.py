"""One output of a network as a layer: waveform in, probabilities or an embedding out."""

from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import nn

from pannsdist.contracts.network import Network
from pannsdist.runtime.errors import UserError

SCORES, EMBEDDING, FRAMEWISE = "scores", "embedding", "framewise"
METHODS = {EMBEDDING: "embed", FRAMEWISE: "framewise"}
"""The method of the model that computes an output; `scores` are the logits through sigmoid or softmax."""


class OutputLayer(nn.Layer):
    """(B, S) waveform -> probabilities (B, C), embedding (B, E) or framewise probabilities (B, T, C).

    Raises UserError for an output that the network does not have.
    """

    def __init__(self, network: Network, output: str, multi_label: bool) -> None:
        super().__init__()
        method = METHODS.get(output)
        if method is not None and not hasattr(network.model, method):
            wrong = f"the network {type(network.model).__name__} has no {output} output"
            raise UserError(wrong, f"its layer has no method `{method}`; choose another model")
        self.network = network
        self.output = output
        self.multi_label = multi_label

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) float32 at the front end's rate -> the output."""
        features = self.network.feature(waveform)
        if self.output == "embedding":
            return self.network.model.embed(features)
        if self.output == "framewise":
            return self.network.model.framewise(features)
        logits = self.network.model(features)
        if self.multi_label:
            return F.sigmoid(logits)
        return F.softmax(logits, axis=-1)
