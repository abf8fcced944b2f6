"""Exports a network as a folder that Paddle Inference or onnxruntime runs without this package."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import paddle

import pannsdist
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.contracts import Clip
from pannsdist.inference.bundle import BundleRecord, build_recorded
from pannsdist.inference.engines.compiled import TOLERANCE, max_difference
from pannsdist.inference.engines.dygraph import Dygraph
from pannsdist.inference.engines.engine import Engine
from pannsdist.inference.engines.graph import INPUT, STEM, GraphFunction, save_graph
from pannsdist.inference.engines.onnx_runtime import convert_to_onnx, load_onnx, require_onnx
from pannsdist.inference.engines.output_layer import SCORES, OutputLayer
from pannsdist.inference.engines.paddle_inference import load_paddle
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.registry import Catalog
from pannsdist.runtime import storage
from pannsdist.runtime.errors import BadClip, UserError, shell_command

FORMATS = ("paddle", "onnx")
RECORD_FILE = "export.json"
CLIPS_TO_CHECK = 3
ONNX_FILE = f"{STEM}.onnx"


@dataclasses.dataclass(frozen=True)
class ExportCheck:
    """The clips on which an export was compared with its network, and the largest difference of a score."""

    clips: tuple[str, ...]
    difference: float


def dataset_clips(record: BundleRecord, catalog: Catalog) -> list[Clip]:
    """The first clips that the model was validated on; none where its dataset is no longer found."""
    try:
        dataset = build_recorded(record.dataset, "dataset", catalog).plugin
        return list(islice(dataset.clips("valid"), CLIPS_TO_CHECK))
    except UserError:
        return []


def export(inference_model: InferenceModel, form: str, out: Path, clips: Sequence[Clip]) -> ExportCheck:
    """Write the graph and `export.json` to the new folder `out`: waveform in, probabilities out, any batch and length.

    The graph is compared with the network on `clips`: all in one batch, and each alone, shortened. Raises UserError,
    and leaves nothing at `out`, where a score differs by more than 1e-4.
    """
    if form == "onnx":
        require_onnx()
    if out.exists():
        raise UserError(f"{out} exists already", "an export is a new folder", shell_command("rm", "-r", out))
    if not clips:
        wrong = "no sound to compare the export with: the model's own dataset is not found"
        raise UserError(wrong, "give sound files as --check FILE...")
    waveforms = _waveforms(inference_model, clips)
    ids = tuple(clip.id for clip in clips)
    checks: list[ExportCheck] = []

    def fill(temporary: Path) -> None:
        graph, content = _write(inference_model, form, temporary)
        checks.append(_check(graph, Dygraph(inference_model), waveforms, ids))
        content["checked"] = dataclasses.asdict(checks[0])
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        (temporary / RECORD_FILE).write_text(text + "\n", encoding="utf-8")

    storage.write_folder_atomic(out, fill)
    return checks[0]


def _write(inference_model: InferenceModel, form: str, folder: Path) -> tuple[GraphFunction, dict[str, Any]]:
    """Write the graph's files; gives the loaded graph and the content of `export.json`."""
    program = save_graph(OutputLayer(inference_model.network, SCORES, inference_model.multi_label), folder)
    if form == "onnx":
        convert_to_onnx(program, folder / ONNX_FILE)
        graph, files = load_onnx(folder / ONNX_FILE), [ONNX_FILE]
    else:
        graph, files = load_paddle(program), [program.name, f"{STEM}.pdiparams"]
    for path in folder.iterdir():
        if path.name not in files:
            path.unlink()
    return graph, {
        "format": form,
        "files": files,
        "input": {"name": INPUT, "axes": ["batch", "samples"], "type": "float32", "rate_hz": inference_model.rate_hz},
        "output": {"axes": ["batch", "labels"], "type": "float32", "is": "probabilities"},
        "minimum_samples": round(inference_model.minimum_s * inference_model.rate_hz),
        "multi_label": inference_model.multi_label,
        "labels": list(inference_model.labels),
        "front_end": dataclasses.asdict(inference_model.front_end),
        "versions": {"pannsdist": pannsdist.__version__, "paddle": paddle.__version__},
    }


def _waveforms(inference_model: InferenceModel, clips: Sequence[Clip]) -> np.ndarray:
    reader = ClipReader(inference_model.rate_hz, round(inference_model.window_s * inference_model.rate_hz))
    try:
        return np.stack([reader.read(clip, None) for clip in clips])
    except BadClip as error:
        raise UserError(
            f"the export cannot be checked: {error.wrong}", "give other files as --check FILE..."
        ) from error


def _check(graph: GraphFunction, engine: Engine, waveforms: np.ndarray, ids: tuple[str, ...]) -> ExportCheck:
    """Compare a graph with the network. Raises UserError."""
    difference = max(max_difference(graph(batch), engine.run(SCORES, batch)) for batch in _batches(waveforms))
    if not difference <= TOLERANCE:
        wrong = f"the export gives other scores than the model: they differ by {difference:.2g}"
        raise UserError(wrong, f"the tolerance is {TOLERANCE:g}; compared on {', '.join(ids)}")
    return ExportCheck(ids, difference)


def _batches(waveforms: np.ndarray) -> Iterator[np.ndarray]:
    """All clips together, then each alone, the second and third shorter than the first."""
    yield waveforms
    samples = waveforms.shape[1]
    for row in range(len(waveforms)):
        yield waveforms[row : row + 1, : samples - row * (samples // 8)]
