"""The second graph of an exported network that answers by frame: a window in, the probabilities of its frames out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.inference.engines.compiled import TOLERANCE, max_difference
from pannsdist.inference.engines.dygraph import Dygraph
from pannsdist.inference.engines.graph import STEM, GraphFunction, save_graph
from pannsdist.inference.engines.onnx_runtime import convert_to_onnx, load_onnx
from pannsdist.inference.engines.output_layer import FRAMEWISE, OutputLayer
from pannsdist.inference.engines.paddle_inference import load_paddle
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.runtime import storage
from pannsdist.runtime.errors import UserError

FRAMES_FOLDER = "frames"


def write_frames(
    inference_model: InferenceModel, form: str, folder: Path, sounds: Sequence[np.ndarray]
) -> dict[str, Any]:
    """Write the graph to `frames/` in the folder of an export; gives its part of `export.json`.

    It takes windows of any length, without cutting or padding them. It is compared with the network on `sounds`.
    Raises UserError where a probability differs by more than 1e-4.
    """
    place = folder / FRAMES_FOLDER
    storage.make_folder(place)
    program = save_graph(OutputLayer(inference_model.network, FRAMEWISE, multi_label=True), place)
    if form == "onnx":
        convert_to_onnx(program, place / f"{STEM}.onnx")
        graph, files = load_onnx(place / f"{STEM}.onnx"), [f"{STEM}.onnx"]
    else:
        graph, files = load_paddle(program), [program.name, f"{STEM}.pdiparams"]
    for path in place.iterdir():
        if path.name not in files:
            storage.remove(path)
    windows = inference_model.frame_windows
    return {
        "files": [f"{FRAMES_FOLDER}/{name}" for name in files],
        "output": {"axes": ["batch", "frames", "labels"], "type": "float32", "is": "probabilities"},
        "frame_samples": windows.frame_samples,
        "frame_s": inference_model.frame_s,
        "minimum_samples": round(inference_model.minimum_s * inference_model.rate_hz),
        "pad_to_samples": round(inference_model.pad_to_s * inference_model.rate_hz),
        "window_frames": windows.window,
        "hop_frames": windows.step,
        "seam": "the middle of what two windows both cover",
        "difference": _difference(graph, inference_model, sounds),
    }


def _difference(graph: GraphFunction, inference_model: InferenceModel, sounds: Sequence[np.ndarray]) -> float:
    """The largest difference of a probability, at the length of a window and others. Raises UserError."""
    window = inference_model.frame_windows.window_samples
    shortest = round(inference_model.minimum_s * inference_model.rate_hz)
    network, largest = Dygraph(inference_model), 0.0
    for sound in sounds:
        for samples in sorted({shortest, (shortest + window) // 2 + 1, window}):
            waveform = np.resize(sound, samples)[None]
            found = max_difference(graph(waveform), network.run(FRAMEWISE, waveform))
            if not found <= TOLERANCE:
                wrong = f"the export gives other frames than the model: they differ by {found:.2g}"
                raise UserError(wrong, f"the tolerance is {TOLERANCE:g}; compared at {samples} samples")
            largest = max(largest, found)
    return largest
