"""Engines that compile the network to a static graph, checked against the network itself; on the CPU."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from pannsdist.inference.engines.dygraph import Dygraph
from pannsdist.inference.engines.engine import Engine
from pannsdist.inference.engines.graph import CannotCompile, GraphFunction
from pannsdist.inference.engines.output_layer import OutputLayer
from pannsdist.inference.inference_model import InferenceModel

TOLERANCE = 1e-4
WINDOWS_BEFORE_COMPILING = 8

CompileLayer = Callable[[OutputLayer], GraphFunction]


class Compiled:
    """Compiles a graph for each output when it is first used.

    The first waveform is also run in dynamic mode, and CannotCompile is raised where the graph gives another output,
    because the layer has a Python branch that tracing resolves only once. `compile_half` compiles a graph with less
    precision, which is used in place of the one that was compared.
    """

    def __init__(
        self, inference_model: InferenceModel, compile_layer: CompileLayer, compile_half: CompileLayer | None = None
    ) -> None:
        self._dygraph = Dygraph(inference_model)
        self._compile_layer, self._compile_half = compile_layer, compile_half
        self._graphs: dict[str, GraphFunction] = {}

    def run(self, output: str, waveforms: np.ndarray) -> np.ndarray:
        """See Engine."""
        if output not in self._graphs:
            first = waveforms[:1]
            expected = self._dygraph.run(output, first)
            layer = self._dygraph.layer(output)
            graph = self._compile_layer(layer)
            compare(graph(first), expected)
            self._graphs[output] = graph if self._compile_half is None else self._compile_half(layer)
        return self._graphs[output](waveforms)


class CompiledLater:
    """Runs the first windows in dynamic mode, then compiles: for a few windows compiling would take longer.

    A network that cannot be compiled stays in dynamic mode, with one note on stderr.
    """

    def __init__(self, inference_model: InferenceModel, compile_layer: CompileLayer) -> None:
        self._dygraph = Dygraph(inference_model)
        self._compiled: Engine | None = Compiled(inference_model, compile_layer)
        self._windows_done = 0

    def run(self, output: str, waveforms: np.ndarray) -> np.ndarray:
        """See Engine."""
        if len(waveforms) > WINDOWS_BEFORE_COMPILING > self._windows_done:  # a large batch: its first windows only
            parts = waveforms[:WINDOWS_BEFORE_COMPILING], waveforms[WINDOWS_BEFORE_COMPILING:]
            return np.concatenate([self.run(output, part) for part in parts])
        if self._compiled is not None and self._windows_done >= WINDOWS_BEFORE_COMPILING:
            try:
                return self._compiled.run(output, waveforms)
            except CannotCompile as error:
                print(f"note: {error.wrong}; using the engine dygraph instead", file=sys.stderr, flush=True)
                self._compiled = None
        self._windows_done += len(waveforms)
        return self._dygraph.run(output, waveforms)


def compare(found: np.ndarray, expected: np.ndarray) -> None:
    """Raise CannotCompile where a graph's output differs from the network's by more than 1e-4 of its magnitude."""
    if found.shape != expected.shape:
        raise CannotCompile(f"its static graph gives the shape {found.shape}, the network {expected.shape}")
    difference = max_difference(found, expected)
    if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise CannotCompile(
            f"its static graph gives other outputs than the network: they differ by {difference:.2g}",
            f"the tolerance is {TOLERANCE:g}; its layer has a Python branch that a graph resolves only once",
        )


def max_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest absolute difference; infinity where the shapes differ or a value is not finite."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - expected).max())
