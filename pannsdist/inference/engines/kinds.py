"""The engines by name: what they are, the precisions that they have, and whether they can run here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pannsdist.inference.engines.compiled import Compiled, CompiledLater
from pannsdist.inference.engines.dygraph import Dygraph
from pannsdist.inference.engines.engine import Engine
from pannsdist.inference.engines.onednn import OneDNN
from pannsdist.inference.engines.onnx_runtime import compile_onnx, require_onnx
from pannsdist.inference.engines.paddle_inference import compile_paddle
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.kernels.choice import FLOAT, HALF, refusal
from pannsdist.runtime.errors import UserError

FP32, BF16, INT8 = "fp32", "bf16", "int8"
PRECISIONS = (FP32, BF16, INT8)
OPERANDS = {FP32: FLOAT, BF16: HALF}


@dataclass(frozen=True)
class EngineKind:
    """What an engine is, its precisions, and how it is built: from model, precision, threads, and if compiling waits.

    `refuse` raises UserError where it cannot run here with a precision.
    """

    what: str
    precisions: tuple[str, ...]
    refuse: Callable[[str], None]
    build: Callable[[InferenceModel, str, int, bool], Engine]


def _dygraph(inference_model: InferenceModel, precision: str, threads: int, is_patient: bool) -> Engine:  # noqa: ARG001
    return Dygraph(inference_model)


def _paddle(inference_model: InferenceModel, precision: str, threads: int, is_patient: bool) -> Engine:
    exact = partial(compile_paddle, threads=threads)
    if precision == BF16:
        return Compiled(inference_model, exact, partial(compile_paddle, threads=threads, is_half=True))
    return CompiledLater(inference_model, exact) if is_patient else Compiled(inference_model, exact)


def _onnx(inference_model: InferenceModel, precision: str, threads: int, is_patient: bool) -> Engine:  # noqa: ARG001
    compile_layer = partial(compile_onnx, threads=threads)
    return CompiledLater(inference_model, compile_layer) if is_patient else Compiled(inference_model, compile_layer)


def _onednn(inference_model: InferenceModel, precision: str, threads: int, is_patient: bool) -> Engine:  # noqa: ARG001
    return OneDNN(inference_model, OPERANDS[precision], threads)


def _never(precision: str) -> None: ...


def _refuse_onnx(precision: str) -> None:  # noqa: ARG001
    require_onnx()


def _refuse_half(precision: str) -> None:
    if precision == BF16 and (why := refusal(HALF)):
        raise UserError(f"bf16 is not possible here: {why}", "choose fp32", "use --precision fp32")


def _refuse_onednn(precision: str) -> None:
    if why := refusal(FLOAT):
        raise UserError(f"the engine onednn cannot run here: {why}", "choose paddle, which runs anywhere")
    _refuse_half(precision)


ENGINES = {
    "dygraph": EngineKind("Paddle in dynamic mode; the only one on a GPU", (FP32,), _never, _dygraph),
    "paddle": EngineKind("Paddle Inference with oneDNN; compiles first", (FP32, BF16), _refuse_half, _paddle),
    "onnx": EngineKind("onnxruntime; compiles first", (FP32,), _refuse_onnx, _onnx),
    "onednn": EngineKind("convolutions in oneDNN directly, the rest as dygraph", (FP32, BF16), _refuse_onednn, _onednn),
}


def engine_kind(name: str, precision: str) -> EngineKind:
    """An engine that can run here with a precision. Raises UserError if it does not exist, or cannot."""
    if name not in ENGINES:
        raise UserError(f"there is no engine '{name}'", f"engines: {', '.join(ENGINES)}")
    kind = ENGINES[name]
    if precision not in kind.precisions:
        able = [other for other, one in ENGINES.items() if precision in one.precisions]
        raise UserError(f"the engine {name} has no {precision}", f"engines with {precision}: {', '.join(able)}")
    kind.refuse(precision)
    return kind


def require_precision(precision: str) -> None:
    """Raise UserError for a precision that no engine has."""
    if precision == INT8:
        right = "no engine has it; only an exported ONNX file does: pannsdist export --format onnx --precision int8"
        raise UserError("no engine computes in int8", right, "use --precision bf16 or fp32")
    if precision not in PRECISIONS:
        raise UserError(f"the precision is '{precision}'", f"allowed: {', '.join(OPERANDS)}")
