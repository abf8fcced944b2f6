"""What computes a listener's answers: Paddle as it is, a compiled graph in Paddle Inference, or one in onnxruntime.

Of a waveform (B, S) float32 an engine answers `scores`, probabilities (B, C); `embedding` (B, E) and `framewise`
probabilities (B, T, C) where the network has them.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import paddle

from pannsdist.inference.engines.graph import (
    CannotCompile,
    OutputLayer,
    Run,
    convert_to_onnx,
    need_onnx,
    open_onnx,
    open_paddle,
    save_graph,
)
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.runtime.errors import UserError

TOLERANCE = 1e-4
WINDOWS_BEFORE_COMPILING = 8


class Engine(Protocol):
    """Answers of a network."""

    def ask(self, output: str, waveforms: np.ndarray) -> np.ndarray:
        """Waveforms (B, S) float32 -> (B, C), (B, E) or (B, T, C) float32. Raises UserError where there is none."""
        ...


class Dygraph:
    """The network as it is, on Paddle's current device."""

    def __init__(self, inference_model: InferenceModel) -> None:
        self._inference_model = inference_model
        self._asked: dict[str, OutputLayer] = {}

    def ask(self, output: str, waveforms: np.ndarray) -> np.ndarray:
        """See Engine."""
        with paddle.no_grad():
            answers: np.ndarray = self.asked(output)(paddle.to_tensor(waveforms)).numpy()
        return answers

    def asked(self, output: str) -> OutputLayer:
        """The layer that gives this answer."""
        if output not in self._asked:
            self._asked[output] = OutputLayer(self._inference_model.network, output, self._inference_model.multi_label)
            self._asked[output].eval()
        return self._asked[output]


class Compiled:
    """A graph for each kind of answer, made when it is first asked for; on the CPU.

    The first waveform is asked of the network as well: a layer whose graph answers something else, because it decides
    something in Python that a graph decides once, is refused with CannotCompile.
    """

    def __init__(self, inference_model: InferenceModel, start: Callable[[OutputLayer], Run]) -> None:
        self._dygraph = Dygraph(inference_model)
        self._start = start
        self._runs: dict[str, Run] = {}

    def ask(self, output: str, waveforms: np.ndarray) -> np.ndarray:
        """See Engine."""
        if output not in self._runs:
            one = waveforms[:1]
            expected = self._dygraph.ask(output, one)
            run = self._start(self._dygraph.asked(output))
            compare(run(one), expected)
            self._runs[output] = run
        return self._runs[output](waveforms)


class CompiledLater:
    """The network as it is for the first windows, then compiled: a graph takes longer to make than they to hear.

    A network that cannot be compiled is heard as it is to the end, and that is said once.
    """

    def __init__(self, inference_model: InferenceModel) -> None:
        self._dygraph = Dygraph(inference_model)
        self._compiled: Engine | None = Compiled(inference_model, start_paddle)
        self._heard = 0

    def ask(self, output: str, waveforms: np.ndarray) -> np.ndarray:
        """See Engine."""
        if self._compiled is not None and self._heard >= WINDOWS_BEFORE_COMPILING:
            try:
                return self._compiled.ask(output, waveforms)
            except CannotCompile as error:
                print(f"note: {error.wrong}; going on with the engine dygraph", file=sys.stderr, flush=True)
                self._compiled = None
        self._heard += len(waveforms)
        return self._dygraph.ask(output, waveforms)


def compare(found: np.ndarray, expected: np.ndarray) -> None:
    """Raise CannotCompile where a graph's answers differ from the network's by more than 1e-4 of their size."""
    if found.shape != expected.shape:
        raise CannotCompile(f"its static graph answers {found.shape}, the network {expected.shape}")
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise CannotCompile(
            f"its static graph answers something else than the network: they differ by {difference:.2g}",
            f"allowed is {TOLERANCE:g}; its layer decides something in Python that a graph decides once",
        )


def start_paddle(asked: OutputLayer) -> Run:
    """Compile for Paddle Inference; the files are gone when it has read them."""
    with tempfile.TemporaryDirectory(prefix="pannsdist-") as folder:
        return open_paddle(save_graph(asked, Path(folder)))


def start_onnx(asked: OutputLayer) -> Run:
    """Compile for onnxruntime."""
    with tempfile.TemporaryDirectory(prefix="pannsdist-") as folder:
        path = Path(folder) / "model.onnx"
        convert_to_onnx(save_graph(asked, Path(folder)), path)
        return open_onnx(path)


def _compiled_paddle(inference_model: InferenceModel) -> Engine:
    return Compiled(inference_model, start_paddle)


def _compiled_onnx(inference_model: InferenceModel) -> Engine:
    need_onnx()
    return Compiled(inference_model, start_onnx)


ENGINES: dict[str, Callable[[InferenceModel], Engine]] = {
    "dygraph": Dygraph,
    "paddle": _compiled_paddle,
    "onnx": _compiled_onnx,
}


def engine(inference_model: InferenceModel, name: str = "") -> Engine:
    """An engine by name; by itself Paddle Inference on a CPU, and the network as it is on a GPU.

    The compiled engines work on the CPU alone: Paddle Inference on a GPU was not tried. Raises UserError for a name
    that there is not, and where what an engine needs is not installed.
    """
    if not name:
        return CompiledLater(inference_model) if paddle.get_device() == "cpu" else Dygraph(inference_model)
    if name not in ENGINES:
        raise UserError(f"there is no engine '{name}'", f"engines: {', '.join(ENGINES)}")
    return ENGINES[name](inference_model)
