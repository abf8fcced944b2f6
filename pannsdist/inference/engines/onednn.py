"""The engine `onednn`: the network in dynamic mode, its convolutions through the oneDNN of Paddle's own wheel."""

from __future__ import annotations

import threading

import numpy as np
import paddle

from pannsdist.contracts.network import evaluation_mode
from pannsdist.inference.engines.dygraph import Dygraph
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.kernels.fixed import FixedNetwork
from pannsdist.kernels.library import loaded


class OneDNN:
    """Compiles nothing. Only on the CPU; weights are read at the first run. `dtype` is float32 or bfloat16.

    What the library does not know, such as the feature, attention and fully connected layers, is computed by Paddle in
    float32. Outside of `run` the network is as it was; threads that share an engine wait for each other.
    """

    def __init__(self, inference_model: InferenceModel, dtype: str, threads: int) -> None:
        self._dygraph, self._lock = Dygraph(inference_model), threading.Lock()
        with evaluation_mode(inference_model.network):
            self._network = FixedNetwork(inference_model.network, loaded(), dtype, threads)

    def run(self, output: str, waveforms: np.ndarray) -> np.ndarray:
        """See Engine."""
        layer = self._dygraph.layer(output)
        with self._lock, evaluation_mode(layer), self._network.active():
            outputs: np.ndarray = layer(paddle.to_tensor(waveforms, place="cpu")).numpy()
        return outputs
