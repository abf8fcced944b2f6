"""int8: weights and activations of the network rounded to 8 bits, by ranges that are measured on sounds."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto

from pannsdist.inference.engines.graph import INPUT, CannotCompile
from pannsdist.inference.engines.small_onnx.parts import constants, fold_batch_norms, network_nodes
from pannsdist.runtime import storage
from pannsdist.runtime.errors import UserError

QUANTIZED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""The operators whose weights are rounded; the others compute in float32 with what these give."""
PERCENTILE = 99.99
"""So many of the values of an activation are within its range. Measured: docs/decisions/0057-small-exports.md."""
AT_ONCE = 16
"""Sounds whose activations are in memory together."""
NEEDED = "ml_dtypes"


def require_quantization() -> None:
    """Raise UserError unless onnxruntime can quantize here."""
    if find_spec(NEEDED) is None:
        raise UserError(f"int8 needs {NEEDED}", "it is in the extra `onnx`", "pip install 'pannsdist[onnx]'")


def quantized(model: ModelProto, scope: str, sounds: Sequence[np.ndarray]) -> ModelProto:
    """A graph whose network has int8 weights, one scale a channel, and activations in the ranges of `sounds` (S,).

    Everything else stays float32. The loudest sounds come first: onnxruntime 1.32 counts in bins as wide as the first
    ones ask for, so that after a silent one it would need billions, and in groups of one size, so that the softest
    ones are left out if they make none. Raises CannotCompile for a network without weights that can be rounded.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    fold_batch_norms(model, scope)
    known = constants(model)
    able = [node for node in network_nodes(model, scope) if node.op_type in QUANTIZED]
    names = [node.name for node in able if any(name in known for name in node.input)]
    if not names:
        raise CannotCompile("the network has no weights that can be int8", "export it with --precision fp16")
    loudest = sorted(sounds, key=lambda sound: -float(np.square(sound).mean()))
    at_once = min(AT_ONCE, len(loudest))
    loudest = loudest[: len(loudest) // at_once * at_once]
    with storage.temporary_folder() as folder, _quiet():
        source, target = folder / "float.onnx", folder / "int8.onnx"
        storage.write_file(source, model.SerializeToString())
        quantize_static(
            str(source),
            str(target),
            _reader(loudest),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED),
            nodes_to_quantize=names,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"WeightSymmetric": True, "CalibPercentile": PERCENTILE, "CalibStridedMinMax": at_once},
        )
        return _loaded(target)


def _loaded(path: Path) -> ModelProto:
    found: ModelProto = onnx.load(path)
    return found


def _reader(sounds: Sequence[np.ndarray]) -> Any:
    """Sounds for the calibration, which asks for one after the other, and keeps the activations of `AT_ONCE`."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._left: list[np.ndarray] = []

        def __len__(self) -> int:
            return len(sounds)

        def set_range(self, start_index: int, end_index: int) -> None:
            self._left = list(sounds[start_index:end_index])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return {INPUT: self._left.pop(0)[None]} if self._left else None

    return Reader()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what onnxruntime prints and logs of each tensor."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
