"""Graphs in onnxruntime."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import paddle

from pannsdist.inference.engines.graph import CannotCompile, GraphFunction, save_graph
from pannsdist.inference.engines.output_layer import OutputLayer
from pannsdist.runtime import cpu, storage
from pannsdist.runtime.errors import UserError

OPSET = 17
PACKAGES = ("paddle2onnx", "onnxruntime", "sympy")


def require_onnx() -> None:
    """Raise UserError unless graphs can be converted to ONNX and run on this machine."""
    if int(paddle.__version__.partition(".")[0]) < 3:
        raise UserError(f"ONNX needs Paddle 3, this is {paddle.__version__}", "paddle2onnx reads no older graphs")
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        right = "they are the extra `onnx`; paddle2onnx 2.1 supports Python up to 3.12"
        raise UserError(f"ONNX needs {', '.join(missing)}", right, "pip install 'pannsdist[onnx]'")


def compile_onnx(layer: OutputLayer) -> GraphFunction:
    """Compile for onnxruntime, through files that are removed after loading. Raises CannotCompile."""
    with storage.temporary_folder() as folder:
        path = folder / "model.onnx"
        convert_to_onnx(save_graph(layer, folder), path)
        return load_onnx(path)


def convert_to_onnx(program: Path, target: Path) -> None:
    """Convert a saved graph, in a subprocess: paddle2onnx aborts the process where it cannot convert.

    Its optimizer is off, because it installs packages at run time. Raises CannotCompile.
    """
    arguments = [str(program), str(program.with_suffix(".pdiparams")), str(target), str(OPSET)]
    code = "import sys, paddle2onnx; a = sys.argv[1:]; "
    code += "paddle2onnx.export(*a[:3], opset_version=int(a[3]), optimize_tool='none')"
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 our own interpreter
    if done.returncode != 0 or not target.is_file():
        errors = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line or "Error:" in line]
        reason = "; ".join(line.strip() for line in errors[:2]) or f"exit code {done.returncode}"
        raise CannotCompile(f"paddle2onnx cannot convert this network: {reason}", "use the format or engine paddle")


def load_onnx(path: Path) -> GraphFunction:
    """Load an ONNX file on the CPU, on as many threads as the process has cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cpu.cores()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(waveforms: np.ndarray) -> np.ndarray:
        outputs: np.ndarray = session.run(None, {name: waveforms})[0]
        return outputs

    return run
