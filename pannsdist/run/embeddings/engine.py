"""Computes the embeddings of a frozen body: always the same bits for a waveform, on this machine.

A clip is computed by itself, since in another batch a matrix product may round in another way.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import paddle
from paddle import nn

from pannsdist.contracts.network import Network
from pannsdist.inference.engines.compiled import TOLERANCE, max_difference
from pannsdist.inference.engines.engine import Engine
from pannsdist.inference.engines.graph import CannotCompile
from pannsdist.inference.engines.output_layer import LOGITS
from pannsdist.inference.engines.selection import build_engine
from pannsdist.inference.heads import replace_layer
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.run.planning.plan import Plan
from pannsdist.runtime import console, devices

DYGRAPH, COMPILED = "dygraph", "paddle"
COMPILED_FROM = 64
"""With fewer clips than this in a run, compiling would take longer than it saves."""


def engine_name(plan: Plan) -> str:
    """The engine for the clips of a run; the same in all processes, and after each interruption."""
    clips = sum(map(len, plan.data.splits.values()))
    return COMPILED if paddle.get_device() == devices.CPU and clips >= COMPILED_FROM else DYGRAPH


class BodyEngine:
    """The body of a network with these weights, of Paddle's ordinary layers; built when it is first used."""

    def __init__(self, plan: Plan, weights: Mapping[str, np.ndarray]) -> None:
        self._plan, self._weights = plan, weights
        self._engine: Engine | None = None

    def run(self, waveforms: np.ndarray) -> np.ndarray:
        """Waveforms (B, S) float32 -> embeddings (B, E) float32."""
        if self._engine is None:
            self._engine = self._built(waveforms.shape[1])
        return self._engine.run(LOGITS, waveforms)

    def gives(self, waveform: np.ndarray, embedding: np.ndarray) -> bool:
        """Whether the body itself, not compiled, gives an embedding (E,) for a waveform (S,), up to rounding."""
        expected = build_engine(self._model, DYGRAPH).run(LOGITS, waveform[None])[0]
        return max_difference(embedding, expected) <= TOLERANCE * max(1.0, float(np.abs(expected).max()))

    @cached_property
    def _model(self) -> InferenceModel:
        return _inference_model(self._plan, self._weights)

    def _built(self, samples: int) -> Engine:
        """An engine of the body. What cannot be compiled is decided by noise: the same in each process."""
        if engine_name(self._plan) == COMPILED:
            try:
                engine = build_engine(self._model, COMPILED)
                engine.run(LOGITS, np.random.default_rng(0).normal(0.0, 0.1, (1, samples)).astype(np.float32))
                return engine
            except CannotCompile as error:
                console.note_main(f"{error.wrong}; embeddings are computed in dynamic mode instead")
        return build_engine(self._model, DYGRAPH)


def _inference_model(plan: Plan, weights: Mapping[str, np.ndarray]) -> InferenceModel:
    """The network with these weights, in place of whose head is nothing."""
    plugin, front_end = plan.plugins.model.plugin, plan.front_end
    body = Network(plan.plugins.feature.plugin.build(), plan.build_model())
    body.restore(weights)
    replace_layer(body.model, plugin.head, nn.Identity())
    body.eval()
    window_s, minimum_s = plan.lengths.valid_crop_s, plan.plugins.minimum_samples / front_end.sample_rate_hz
    return InferenceModel(body, front_end, plan.data.labels, plan.data.multi_label, window_s, window_s, minimum_s)
