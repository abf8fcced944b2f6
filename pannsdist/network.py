"""Feature and model as one layer: a waveform goes in, logits come out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import paddle
from paddle import nn


class Network(nn.Layer):
    """(B, S) waveform -> (B, C) logits. The feature has no weights, and no gradient goes through it."""

    def __init__(self, feature: nn.Layer, model: nn.Layer) -> None:
        super().__init__()
        self.feature = feature
        self.model = model

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) float32 at the front end's rate -> logits (B, C)."""
        with paddle.no_grad(), paddle.amp.auto_cast(enable=False):  # half precision is too coarse for powers of sound
            features = self.feature(waveform)
        return self.model(features)

    def arrays(self) -> dict[str, np.ndarray]:
        """The model's weights and running statistics by structured name, copied to the host."""
        return {name: tensor.numpy() for name, tensor in self.model.state_dict().items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put back what `arrays` gave. Raises ValueError, and changes nothing, where a name or a shape differs."""
        own = self.model.state_dict()
        odd = sorted(own.keys() ^ arrays.keys())
        odd += sorted(name for name in own.keys() & arrays.keys() if tuple(own[name].shape) != arrays[name].shape)
        if odd:
            raise ValueError(f"{len(odd)} tensors do not fit, such as {odd[0]}")
        for name, tensor in own.items():
            tensor.set_value(arrays[name])
