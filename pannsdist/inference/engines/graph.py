"""A network and its front end as one static graph: waveform in, answers out, of any batch and length."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import inference, nn

from pannsdist.contracts.network import Network
from pannsdist.runtime import cpu
from pannsdist.runtime.errors import UserError

SCORES, EMBEDDING, FRAMEWISE = "scores", "embedding", "framewise"
METHODS = {EMBEDDING: "embed", FRAMEWISE: "framewise"}
INPUT = "waveform"
STEM = "model"
ONNX_OPSET = 17
ONNX_NEEDS = ("paddle2onnx", "onnxruntime", "sympy")
OTHER_FUSIONS = (
    "elementwise_act_onednn_fuse_pass",
    "fc_act_mkldnn_fuse_pass",
    "matmul_activation_mkldnn_fuse_pass",
    "softplus_activation_onednn_fuse_pass",
    "seqpool_cvm_concat_fuse_pass",
)
"""Fusions that fail before Paddle 3: where their operators are not oneDNN's, or where bare parameters are joined."""
ONEDNN_OPS = {"conv2d", "depthwise_conv2d", "fused_conv2d", "pool2d", "batch_norm", "relu", "elementwise_add"}

Run = Callable[[np.ndarray], np.ndarray]
"""Waveforms (B, S) float32 -> answers (B, ...) float32."""


class CannotCompile(UserError):
    """A network that cannot be made a static graph, or whose graph answers something else."""


class OutputLayer(nn.Layer):
    """(B, S) waveform -> probabilities (B, C), embedding (B, E) or framewise probabilities (B, T, C).

    Raises UserError where the network has no such answer.
    """

    def __init__(self, network: Network, output: str, multi_label: bool) -> None:
        super().__init__()
        method = METHODS.get(output)
        if method is not None and not hasattr(network.model, method):
            wrong = f"the network {type(network.model).__name__} gives no {output} answer"
            raise UserError(wrong, f"its layer has no method `{method}`; choose another model")
        self.network = network
        self.output = output
        self.multi_label = multi_label

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """Waveform (B, S) float32 at the front end's rate -> the answer."""
        features = self.network.feature(waveform)
        if self.output == "embedding":
            return self.network.model.embed(features)
        if self.output == "framewise":
            return self.network.model.framewise(features)
        logits = self.network.model(features)
        if self.multi_label:
            return F.sigmoid(logits)
        return F.softmax(logits, axis=-1)


def save_graph(asked: OutputLayer, folder: Path) -> Path:
    """Write the graph: `model.pdiparams` beside the program, which is returned (`.json`, before Paddle 3 `.pdmodel`).

    Raises CannotCompile for a layer that Paddle cannot make static.
    """
    asked.eval()
    spec = [paddle.static.InputSpec([None, None], "float32", INPUT)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            paddle.jit.save(asked, str(folder / STEM), input_spec=spec)
    except OSError as error:
        raise UserError(f"the graph cannot be written: {error}", "make room there, or use --engine dygraph") from error
    except Exception as error:  # whatever Paddle or a stranger's layer raises while it is traced
        kind = type(asked.network.model).__name__
        last = next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), "")
        wrong = f"the network {kind} cannot be made a static graph: {type(error).__name__}: {last}"
        raise CannotCompile(wrong, "it works as it is", "use --engine dygraph") from error
    return next(path for ending in (".json", ".pdmodel") if (path := folder / f"{STEM}{ending}").is_file())


def open_paddle(program: Path) -> Run:
    """Paddle Inference on the CPU with oneDNN, on as many threads as the process has cores.

    oneDNN gets the convolutions and what is fused with them, and nothing else: of Paddle 3.3.1 and of 2.6.2 its kernel
    for padding the last axis ends the process (seen with the padding inside `paddle.fft.rfft`), and leaving the rest
    to Paddle's own kernels was as fast (docs/decisions/0007-engines.md).
    """
    config = inference.Config(str(program), str(program.with_suffix(".pdiparams")))
    config.disable_glog_info()
    config.enable_mkldnn()
    config.set_cpu_math_library_num_threads(cpu.cores())
    if program.suffix == ".json":
        config.delete_pass("onednn_placement_pass")
    else:
        config.set_mkldnn_op(ONEDNN_OPS)
        for fusion in OTHER_FUSIONS:
            config.delete_pass(fusion)
    predictor = inference.create_predictor(config)
    entry = predictor.get_input_handle(predictor.get_input_names()[0])
    answer = predictor.get_output_handle(predictor.get_output_names()[0])

    def run(waveforms: np.ndarray) -> np.ndarray:
        entry.reshape(waveforms.shape)
        entry.copy_from_cpu(np.ascontiguousarray(waveforms))
        predictor.run()
        answers: np.ndarray = answer.copy_to_cpu()
        return answers

    return run


def need_onnx() -> None:
    """Raise UserError unless a graph can be converted to ONNX and run here."""
    if int(paddle.__version__.partition(".")[0]) < 3:
        raise UserError(f"ONNX needs Paddle 3, this is {paddle.__version__}", "paddle2onnx reads no older graphs")
    missing = [name for name in ONNX_NEEDS if find_spec(name) is None]
    if missing:
        right = "an extra brings it; paddle2onnx 2.1 is there for Python up to 3.12"
        raise UserError(f"ONNX needs {', '.join(missing)}", right, "pip install 'pannsdist[onnx]'")


def convert_to_onnx(program: Path, result: Path) -> None:
    """Write a saved graph as ONNX, in a process of its own: paddle2onnx ends the process where it cannot convert.

    Its optimizer is left out, since it installs packages while it runs. Raises CannotCompile.
    """
    arguments = [str(program), str(program.with_suffix(".pdiparams")), str(result), str(ONNX_OPSET)]
    code = "import sys, paddle2onnx; a = sys.argv[1:]; "
    code += "paddle2onnx.export(*a[:3], opset_version=int(a[3]), optimize_tool='none')"
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 our own interpreter
    if done.returncode != 0 or not result.is_file():
        said = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line or "Error:" in line]
        reason = "; ".join(line.strip() for line in said[:2]) or f"it ended with {done.returncode}"
        raise CannotCompile(f"paddle2onnx cannot convert this network: {reason}", "use the format or engine paddle")


def open_onnx(path: Path) -> Run:
    """onnxruntime on the CPU, on as many threads as the process has cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cpu.cores()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(waveforms: np.ndarray) -> np.ndarray:
        answers: np.ndarray = session.run(None, {name: waveforms})[0]
        return answers

    return run
