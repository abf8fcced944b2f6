"""The operators that have a translation, by Paddle's names."""

from __future__ import annotations

from pannsdist.inference.engines.onnx_writer.activations import ACTIVATIONS
from pannsdist.inference.engines.onnx_writer.builder import Translation
from pannsdist.inference.engines.onnx_writer.creating import CREATING
from pannsdist.inference.engines.onnx_writer.layers import LAYERS
from pannsdist.inference.engines.onnx_writer.normalizing import NORMALIZING
from pannsdist.inference.engines.onnx_writer.pointwise import POINTWISE
from pannsdist.inference.engines.onnx_writer.recurrent import RECURRENT
from pannsdist.inference.engines.onnx_writer.reductions import REDUCTIONS
from pannsdist.inference.engines.onnx_writer.shaping import SHAPING

TRANSLATIONS: dict[str, Translation] = {
    **CREATING,
    **POINTWISE,
    **ACTIVATIONS,
    **REDUCTIONS,
    **SHAPING,
    **LAYERS,
    **NORMALIZING,
    **RECURRENT,
}
