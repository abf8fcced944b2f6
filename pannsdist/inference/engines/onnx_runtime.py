"""Graphs in onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import paddle

from pannsdist.inference.engines.graph import CannotCompile, GraphFunction, GraphOutputs, save_graph
from pannsdist.inference.engines.onnx_writer.operators import OUTPUT, WORKS
from pannsdist.inference.engines.output_layer import OutputLayer
from pannsdist.runtime import cpu, storage
from pannsdist.runtime.errors import UserError

PACKAGES = ("onnx", "onnxruntime")


def require_onnx() -> None:
    """Raise UserError unless graphs can be converted to ONNX and run on this machine."""
    if int(paddle.__version__.partition(".")[0]) < 3:
        right = "the graphs of Paddle 2 are another format, without a translation"
        raise UserError(f"ONNX needs Paddle 3, this is {paddle.__version__}", right, "use --engine or --format paddle")
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        right = "they are the extra `onnx`"
        raise UserError(f"ONNX needs {' and '.join(missing)}", right, "pip install 'pannsdist[onnx]'")


def compile_onnx(layer: OutputLayer, threads: int = 0) -> GraphFunction:
    """Compile for onnxruntime, through files that are removed after loading. Raises CannotCompile."""
    from pannsdist.inference.engines.onnx_writer.writer import onnx_bytes

    with storage.temporary_folder() as folder:
        content = onnx_bytes(save_graph(layer, folder))
    return load_onnx(content, threads)


def convert_to_onnx(program: Path, target: Path, outputs: Sequence[str] = (OUTPUT,)) -> None:
    """Write a graph that `save_graph` wrote as an ONNX file. Raises CannotCompile, CannotWrite."""
    from pannsdist.inference.engines.onnx_writer.writer import onnx_bytes

    storage.write_atomic(target, onnx_bytes(program, outputs))


def load_onnx(source: Path | bytes, threads: int = 0) -> GraphFunction:
    """The first output of the graph of `load_onnx_outputs`. Raises CannotCompile."""
    run = load_onnx_outputs(source, threads)
    return lambda waveforms: run(waveforms)[0]


def load_onnx_outputs(source: Path | bytes, threads: int = 0) -> GraphOutputs:
    """Load an ONNX file, or its content, on the CPU, on as many threads as the process has cores, or `threads`.

    Raises CannotCompile for a graph that onnxruntime does not take.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or cpu.cores()
    options.log_severity_level = 3
    if cpu.waits_passively():
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    model = source if isinstance(source, bytes) else str(source)
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes have no other base
        raise CannotCompile(f"onnxruntime cannot load this network: {error}", *WORKS) from error
    name = session.get_inputs()[0].name

    def run(waveforms: np.ndarray) -> list[np.ndarray]:
        outputs: list[np.ndarray] = session.run(None, {name: waveforms})
        return outputs

    return run
