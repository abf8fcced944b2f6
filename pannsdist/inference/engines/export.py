"""Exports a network as a folder that Paddle Inference or onnxruntime runs without this package."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import paddle

import pannsdist
from pannsdist.contracts import Clip
from pannsdist.inference.bundle import BundleRecord, build_recorded
from pannsdist.inference.engines.export_check import ExportCheck, check_decisions, check_export, read_sounds
from pannsdist.inference.engines.export_frames import write_frames
from pannsdist.inference.engines.graph import INPUT, STEM, GraphOutputs, save_graph
from pannsdist.inference.engines.onnx_runtime import convert_to_onnx, load_onnx_outputs, require_onnx
from pannsdist.inference.engines.onnx_writer.operators import OUTPUT
from pannsdist.inference.engines.output_layer import DECISIONS, ENERGY, PROBABILITIES, SoundLayer
from pannsdist.inference.engines.paddle_inference import load_paddle_outputs
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.inference.windowing import Windowing, windowing
from pannsdist.registry import Catalog
from pannsdist.runtime import storage
from pannsdist.runtime.errors import UserError, shell_command
from pannsdist.runtime.foreign import parse_json
from pannsdist.runtime.names import is_unicode, shown
from pannsdist.runtime.redaction import published

RECORD_FILE = "export.json"
CLIPS_TO_CHECK = 3
ONNX_FILE = f"{STEM}.onnx"
OUTPUTS: dict[str, Any] = {
    PROBABILITIES: {"axes": ["batch", "labels"], "type": "float32", "is": "calibrated probabilities"},
    DECISIONS: {"axes": ["batch", "labels"], "type": "bool", "is": "the labels decided for; none: none of these"},
    ENERGY: {"axes": ["batch"], "type": "float32", "is": "low for unknown sounds"},
}
"""The outputs of the graph of a model with decisions, in their order."""


def dataset_clips(record: BundleRecord, catalog: Catalog) -> list[Clip]:
    """The first clips that the model was validated on; none where its dataset is no longer found."""
    try:
        dataset = build_recorded(record.dataset, "dataset", catalog).plugin
        return list(islice(dataset.clips("valid"), CLIPS_TO_CHECK))
    except UserError:
        return []


def export(inference_model: InferenceModel, form: str, out: Path, clips: Sequence[Clip]) -> ExportCheck:
    """Write the graph and `export.json` to the new folder `out`: sounds in, what `predict` gives out.

    The graph itself cuts a sound into windows, pads a short one and averages, for any batch size and length. It is
    compared with `predict` on `clips`, at their own length and at others. A network that answers by frame has a second
    graph, of the frames of a window. Raises UserError, and leaves nothing at `out`, where a score differs by more than
    1e-4.
    """
    if form == "onnx":
        require_onnx()
    require_new(out)
    if not clips:
        wrong = "no sound to compare the export with: the model's own dataset is not found"
        raise UserError(wrong, "give sound files as --check FILE...")
    sounds = read_sounds(inference_model, clips)
    ids = [clip.id for clip in clips]
    checks: list[ExportCheck] = []

    def fill(temporary: Path) -> None:
        graph, content = _write(inference_model, form, temporary)
        checks.append(check_export(lambda waveforms: graph(waveforms)[0], inference_model, sounds, ids))
        check_decisions(graph, inference_model, sounds)
        content["checked"] = published(dataclasses.asdict(checks[0]))
        if inference_model.frame_samples:
            content["frames"] = write_frames(inference_model, form, temporary, sounds)
        write_record(temporary, content)

    storage.write_folder_atomic(out, fill)
    return checks[0]


def write_record(folder: Path, content: Mapping[str, Any]) -> None:
    """Write `export.json`."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    storage.write_file(folder / RECORD_FILE, text + "\n")


def read_record(folder: Path) -> dict[str, Any]:
    """What `write_record` wrote."""
    found: dict[str, Any] = parse_json((folder / RECORD_FILE).read_bytes(), RECORD_FILE)
    return found


def require_new(out: Path) -> None:
    """Raise UserError where an export cannot be the folder `out`."""
    if out.exists():
        raise UserError(f"{out} exists already", "an export is a new folder", shell_command("rm", "-r", out))
    if not is_unicode(str(out.absolute())):
        wrong = f"{shown(out.absolute())} holds bytes that are not UTF-8, and Paddle cannot write there"
        raise UserError(wrong, "give another folder as -o FOLDER")


def _write(inference_model: InferenceModel, form: str, folder: Path) -> tuple[GraphOutputs, dict[str, Any]]:
    """Write the graph's files; gives the loaded graph and the content of `export.json`."""
    lengths = windowing(inference_model)
    decisions = inference_model.decisions
    layer = SoundLayer(inference_model.network, inference_model.multi_label, lengths, decisions)
    program = save_graph(layer, folder)
    if form == "onnx":
        names = (OUTPUT,) if decisions is None else tuple(OUTPUTS)
        convert_to_onnx(program, folder / ONNX_FILE, names)
        graph, files = load_onnx_outputs(folder / ONNX_FILE), [ONNX_FILE]
    else:
        graph, files = load_paddle_outputs(program), [program.name, f"{STEM}.pdiparams"]
    for path in folder.iterdir():
        if path.name not in files:
            storage.remove(path)
    return graph, {
        "format": form,
        "files": files,
        "input": {"name": INPUT, "axes": ["batch", "samples"], "type": "float32", "rate_hz": inference_model.rate_hz},
        "output": {"axes": ["batch", "labels"], "type": "float32", "is": "probabilities"},
        **({} if decisions is None else {"outputs": OUTPUTS, "decisions": dataclasses.asdict(decisions)}),
        "windows": _windows_record(lengths, inference_model.rate_hz),
        "multi_label": inference_model.multi_label,
        "labels": list(inference_model.labels),
        "front_end": dataclasses.asdict(inference_model.front_end),
        "versions": {"pannsdist": pannsdist.__version__, "paddle": paddle.__version__},
    }


def _windows_record(lengths: Windowing, rate_hz: int) -> dict[str, Any]:
    """What the graph does to a sound before and after the network."""
    return {
        "in_graph": True,
        "crop_s": lengths.window / rate_hz,
        "window_s": lengths.window / rate_hz,
        "hop_s": lengths.hop / rate_hz,
        "pad_to_s": lengths.pad_to / rate_hz,
        "pad_to_samples": lengths.pad_to,
        "window_samples": lengths.window,
        "hop_samples": lengths.hop,
        "padding": "zeros behind the sound",
        "last_window": "ends where the sound ends",
        "average": "mean of the probabilities of the windows",
    }
