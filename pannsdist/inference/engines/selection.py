"""The engines by name."""

from __future__ import annotations

from collections.abc import Callable

import paddle

from pannsdist.inference.engines.compiled import Compiled, CompiledLater
from pannsdist.inference.engines.dygraph import Dygraph
from pannsdist.inference.engines.engine import Engine
from pannsdist.inference.engines.on_device import OnDevice
from pannsdist.inference.engines.onnx_runtime import compile_onnx, require_onnx
from pannsdist.inference.engines.paddle_inference import compile_paddle
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.runtime import devices
from pannsdist.runtime.errors import UserError


def _paddle(inference_model: InferenceModel) -> Engine:
    return Compiled(inference_model, compile_paddle)


def _onnx(inference_model: InferenceModel) -> Engine:
    require_onnx()
    return Compiled(inference_model, compile_onnx)


ENGINES: dict[str, Callable[[InferenceModel], Engine]] = {"dygraph": Dygraph, "paddle": _paddle, "onnx": _onnx}


def build_engine(inference_model: InferenceModel, name: str = "", device: str = "") -> Engine:
    """An engine by name; without one Paddle Inference on a CPU, once it pays off, and dynamic mode on a GPU.

    Without a `device` it runs on Paddle's current one. The compiled engines run on the CPU only: Paddle Inference on a
    GPU was not tested. Raises UserError for an unknown name, for a device that is not there or not the engine's, and
    where a package that the engine needs is not installed.
    """
    place = devices.find(device, devices.available()) if device else paddle.get_device()
    engine = _engine(inference_model, name or ("" if place == devices.CPU else "dygraph"))
    if device and place != devices.CPU and not isinstance(engine, Dygraph):
        raise UserError(f"the engine '{name}' runs on the CPU, not on '{device}'", "choose dygraph for a GPU")
    return OnDevice(engine, device) if device else engine


def _engine(inference_model: InferenceModel, name: str) -> Engine:
    if not name:
        return CompiledLater(inference_model, compile_paddle)
    if name not in ENGINES:
        raise UserError(f"there is no engine '{name}'", f"engines: {', '.join(ENGINES)}")
    return ENGINES[name](inference_model)
