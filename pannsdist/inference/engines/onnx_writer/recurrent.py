"""Recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pannsdist.inference.engines.onnx_writer.builder import Builder, Item, Translated, Translation, integers
from pannsdist.inference.engines.onnx_writer.operators import Operator

GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN_TANH": (0,), "RNN_RELU": (0,)}
"""The order of ONNX's gates in Paddle's weights: LSTM i o f c of i f c o, GRU z r h of r z c."""


def rnn(graph: Builder, op: Operator) -> Translated:
    """Layers of recurrent cells over (T, B, C), in one direction or both; gives the states after the last step too."""
    op.require("is_test", True)
    if op.has("sequence_length"):
        raise op.cannot("it has lengths of sequences")
    directions = 1 + int(op.attribute("is_bidirec"))
    weights = [_by_gate(value.content, op) for value in op.values("weight_list")]
    matrices, biases = weights[: len(weights) // 2], weights[len(weights) // 2 :]
    found: Item = op.value("x")
    finals: list[list[str]] = []
    for start in range(0, len(matrices), 2 * directions):
        parts = [_stacked(part[start : start + 2 * directions]) for part in (matrices, biases)]
        rows = integers(start // 2), integers(start // 2 + directions), integers(0)
        initial = [graph.add("Slice", state, *rows) for state in op.values("pre_state")]
        bias = np.concatenate(parts[1], axis=1)
        found, final = _layer(graph, op, (found, *parts[0], bias, None, *initial))
        finals.append(final)
    states = [graph.add("Concat", *kind, axis=0) for kind in zip(*finals, strict=True)]
    return graph.name_of(found), None, states


def _layer(graph: Builder, op: Operator, operands: Sequence[Item]) -> tuple[str, list[str]]:
    """One layer: (T, B, directions * H), and its states (directions, B, H)."""
    mode, directions, size = op.attribute("mode"), 1 + int(op.attribute("is_bidirec")), op.integer("hidden_size")
    kind = mode.partition("_")[0]
    attributes: dict[str, Any] = {"direction": "bidirectional" if directions == 2 else "forward", "hidden_size": size}
    if kind == "GRU":
        attributes["linear_before_reset"] = 1
    if kind == "RNN":
        attributes["activations"] = [mode.partition("_")[2].capitalize()] * directions
    results = 3 if kind == "LSTM" else 2
    outputs, *states = graph.add_many(kind, *operands, results=results, **attributes)
    beside = graph.add("Transpose", outputs, perm=[0, 2, 1, 3])
    return graph.add("Reshape", beside, integers(0, 0, directions * size)), states


def _by_gate(weight: np.ndarray | None, op: Operator) -> np.ndarray:
    """Rows in the order of ONNX's gates."""
    if weight is None:
        raise op.cannot("its weights are computed from the waveform")
    gates = np.split(weight, len(GATES[op.attribute("mode")]))
    return np.concatenate([gates[place] for place in GATES[op.attribute("mode")]])


def _stacked(weights: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Of input and state of each direction: those of the inputs, those of the states, each (directions, ...)."""
    return np.stack(weights[::2]), np.stack(weights[1::2])


RECURRENT: dict[str, Translation] = {"rnn": rnn}
