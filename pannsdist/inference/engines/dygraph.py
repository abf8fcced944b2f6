"""The engine `dygraph`: the network in Paddle's dynamic mode, without compiling."""

from __future__ import annotations

import numpy as np
import paddle

from pannsdist.contracts.network import evaluation_mode
from pannsdist.inference.engines.output_layer import OutputLayer
from pannsdist.inference.inference_model import InferenceModel


class Dygraph:
    """Runs on Paddle's current device."""

    def __init__(self, inference_model: InferenceModel) -> None:
        self._inference_model = inference_model
        self._layers: dict[str, OutputLayer] = {}

    def run(self, output: str, waveforms: np.ndarray) -> np.ndarray:
        """See Engine."""
        layer = self.layer(output)
        with evaluation_mode(layer), paddle.no_grad():
            outputs: np.ndarray = layer(paddle.to_tensor(waveforms)).numpy()
        return outputs

    def layer(self, output: str) -> OutputLayer:
        """The layer of an output."""
        if output not in self._layers:
            own = self._inference_model
            temperature = own.decisions.temperature if own.decisions else 1.0
            self._layers[output] = OutputLayer(own.network, output, own.multi_label, temperature)
        return self._layers[output]
