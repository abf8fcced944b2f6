"""Makes a smaller ONNX file from an exported one, and says how large both are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from pannsdist.inference.engines.small_onnx.half import halved
from pannsdist.inference.engines.small_onnx.int8 import quantized
from pannsdist.inference.engines.small_onnx.parts import WeightBytes, network_scope, weight_bytes
from pannsdist.runtime import storage

FP16, INT8 = "fp16", "int8"


@dataclass(frozen=True)
class Size:
    """Bytes of a graph: the constants of the network, those around it, which are always float32, and the file."""

    network: int
    around: int
    file: int


def shrink(source: Path, target: Path, precision: str, layer_class: str, sounds: Sequence[np.ndarray]) -> None:
    """Write the graph of `source` with the network in a precision; int8 with the ranges of `sounds` (S,).

    `layer_class` is the class of the network's layer. Raises CannotCompile where that has no operator, or no weights.
    """
    scope, model = network_scope(layer_class), onnx.load(source)
    small = halved(model, scope) if precision == FP16 else quantized(model, scope, sounds)
    storage.write_atomic(target, small.SerializeToString(deterministic=True))


def size(path: Path, layer_class: str) -> Size:
    """How large a graph is."""
    found: WeightBytes = weight_bytes(onnx.load(path), network_scope(layer_class))
    return Size(found.network, found.around, path.stat().st_size)
