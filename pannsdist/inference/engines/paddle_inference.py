"""Graphs in Paddle Inference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from paddle import inference

from pannsdist.inference.engines.graph import GraphFunction, GraphOutputs, save_graph
from pannsdist.inference.engines.output_layer import OutputLayer
from pannsdist.runtime import cpu, storage

FAILING_FUSIONS = (
    "elementwise_act_onednn_fuse_pass",
    "fc_act_mkldnn_fuse_pass",
    "matmul_activation_mkldnn_fuse_pass",
    "softplus_activation_onednn_fuse_pass",
    "seqpool_cvm_concat_fuse_pass",
)
"""Fusions that fail before Paddle 3: where their operators are not oneDNN's, or where bare parameters are joined."""
ONEDNN_OPS = {"conv2d", "depthwise_conv2d", "fused_conv2d", "pool2d", "batch_norm", "relu", "elementwise_add"}


def compile_paddle(layer: OutputLayer, threads: int = 0, is_half: bool = False) -> GraphFunction:
    """Compile for Paddle Inference, through files that are removed after loading. Raises CannotCompile."""
    with storage.temporary_folder() as folder:
        return load_paddle(save_graph(layer, folder), threads, is_half)


def load_paddle(program: Path, threads: int = 0, is_half: bool = False) -> GraphFunction:
    """The first output of the graph of `load_paddle_outputs`."""
    run = load_paddle_outputs(program, threads, is_half)
    return lambda waveforms: run(waveforms)[0]


def load_paddle_outputs(program: Path, threads: int = 0, is_half: bool = False) -> GraphOutputs:
    """Load a saved graph on the CPU with oneDNN, on as many threads as the process has cores unless `threads` is given.

    With `is_half` the convolutions, and what is fused with them, have operands in bfloat16, and sums in float32.

    Only the convolutions, and what is fused with them, run in oneDNN: its kernel for padding the last axis crashes the
    process in Paddle 3.3.1 and 2.6.2 (seen with the padding inside `paddle.fft.rfft`), and leaving the rest to Paddle's
    own kernels was as fast (docs/decisions/0007-engines.md).
    """
    config = inference.Config(str(program), str(program.with_suffix(".pdiparams")))
    config.disable_glog_info()
    config.enable_mkldnn()
    config.set_cpu_math_library_num_threads(threads or cpu.cores())
    if is_half:
        config.enable_mkldnn_bfloat16()
    if program.suffix == ".json":
        config.delete_pass("onednn_placement_pass")
    else:
        config.set_mkldnn_op(ONEDNN_OPS)
        for fusion in FAILING_FUSIONS:
            config.delete_pass(fusion)
    predictor = inference.create_predictor(config)
    input_handle = predictor.get_input_handle(predictor.get_input_names()[0])
    handles = [predictor.get_output_handle(name) for name in predictor.get_output_names()]

    def run(waveforms: np.ndarray) -> list[np.ndarray]:
        input_handle.reshape(waveforms.shape)
        input_handle.copy_from_cpu(np.ascontiguousarray(waveforms))
        predictor.run()
        return [handle.copy_to_cpu() for handle in handles]

    return run
