"""The second graph of an exported network that answers by frame: a window in, the probabilities of its frames out.

Axes: B windows, S samples, T frames, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.contracts.event_decoding import median_filtered, median_frames, reached
from pannsdist.inference.decisions import Decisions
from pannsdist.inference.engines.compiled import TOLERANCE, max_difference
from pannsdist.inference.engines.dygraph import Dygraph
from pannsdist.inference.engines.frame_layer import FrameLayer
from pannsdist.inference.engines.graph import STEM, GraphOutputs, save_graph
from pannsdist.inference.engines.onnx_runtime import convert_to_onnx, load_onnx_outputs
from pannsdist.inference.engines.onnx_writer.operators import OUTPUT
from pannsdist.inference.engines.output_layer import FRAMEWISE
from pannsdist.inference.engines.paddle_inference import load_paddle_outputs
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.runtime import storage
from pannsdist.runtime.errors import UserError

FRAMES_FOLDER = "frames"
PROBABILITIES, ACTIVE = "probabilities", "active"
AXES = ["batch", "frames", "labels"]
OUTPUTS: dict[str, Any] = {
    PROBABILITIES: {"axes": AXES, "type": "float32", "is": "calibrated probabilities"},
    ACTIVE: {"axes": AXES, "type": "bool", "is": "whether the label is there, after its median filter"},
}
"""The outputs of the graph of a model with decisions that are fitted on frames, in their order."""


def write_frames(
    inference_model: InferenceModel, form: str, folder: Path, sounds: Sequence[np.ndarray]
) -> dict[str, Any]:
    """Write the graph to `frames/` in the folder of an export; gives its part of `export.json`.

    It takes windows of any length, without cutting or padding them. It is compared with the network on `sounds`.
    Raises UserError where a probability differs by more than 1e-4, or a decision differs.
    """
    place = folder / FRAMES_FOLDER
    storage.make_folder(place)
    layer = FrameLayer(inference_model.network, inference_model.frame_s, inference_model.decisions)
    program = save_graph(layer, place)
    if form == "onnx":
        convert_to_onnx(program, place / f"{STEM}.onnx", tuple(OUTPUTS) if layer.thresholds else (OUTPUT,))
        graph, files = load_onnx_outputs(place / f"{STEM}.onnx"), [f"{STEM}.onnx"]
    else:
        graph, files = load_paddle_outputs(program), [program.name, f"{STEM}.pdiparams"]
    for path in place.iterdir():
        if path.name not in files:
            storage.remove(path)
    windows = inference_model.frame_windows
    return {
        "files": [f"{FRAMES_FOLDER}/{name}" for name in files],
        "output": {"axes": AXES, "type": "float32", "is": "probabilities"},
        **({"outputs": OUTPUTS, **_decisions_record(layer)} if layer.thresholds else {}),
        "frame_samples": windows.frame_samples,
        "frame_s": inference_model.frame_s,
        "minimum_samples": round(inference_model.minimum_s * inference_model.rate_hz),
        "pad_to_samples": round(inference_model.pad_to_s * inference_model.rate_hz),
        "window_frames": windows.window,
        "hop_frames": windows.step,
        "seam": "the middle of what two windows both cover",
        "difference": _difference(graph, inference_model, sounds),
    }


def _decisions_record(layer: FrameLayer) -> dict[str, Any]:
    """For a sound of several windows, whose frames are filtered after the windows are joined."""
    return {"thresholds": list(layer.thresholds), "median_frames": [2 * reach + 1 for reach in layer.reach]}


def _difference(graph: GraphOutputs, inference_model: InferenceModel, sounds: Sequence[np.ndarray]) -> float:
    """The largest difference of a probability, at the length of a window and others. Raises UserError."""
    window = inference_model.frame_windows.window_samples
    shortest = round(inference_model.minimum_s * inference_model.rate_hz)
    network, largest = Dygraph(inference_model), 0.0
    for sound in sounds:
        for samples in sorted({shortest, (shortest + window) // 2 + 1, window}):
            waveform = np.resize(sound, samples)[None]
            probabilities, *active = graph(waveform)
            found = max_difference(probabilities, network.run(FRAMEWISE, waveform))
            if not found <= TOLERANCE:
                wrong = f"the export gives other frames than the model: they differ by {found:.2g}"
                raise UserError(wrong, f"the tolerance is {TOLERANCE:g}; compared at {samples} samples")
            largest = max(largest, found)
            if active and inference_model.decisions is not None:
                _check_active(active[0], probabilities, inference_model.decisions, inference_model.frame_s)
    return largest


def _check_active(active: np.ndarray, probabilities: np.ndarray, decisions: Decisions, frame_s: float) -> None:
    """Compare the decisions on frames of a graph with those of `detect` on its probabilities. Raises UserError."""
    smooth = median_filtered(probabilities[0], median_frames(decisions.median_s, frame_s))
    wanted = reached(smooth, decisions.frame_thresholds)
    if (active[0] != wanted).any():
        wrong = f"the export decides otherwise than the model for {int((active[0] != wanted).sum())} frames"
        raise UserError(wrong, "export it in the other format: --format paddle or onnx")
