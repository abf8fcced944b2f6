"""A network as a folder that others can run: Paddle Inference or onnxruntime alone, without this package."""

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
from pannsdist.inference.bundle import BundleRecord, recorded_plugin
from pannsdist.inference.engines.engine import TOLERANCE, Dygraph
from pannsdist.inference.engines.graph import (
    INPUT,
    SCORES,
    STEM,
    OutputLayer,
    Run,
    convert_to_onnx,
    need_onnx,
    open_onnx,
    open_paddle,
    save_graph,
)
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.registry import Catalog
from pannsdist.runtime import storage
from pannsdist.runtime.errors import BadClip, UserError

FORMATS = ("paddle", "onnx")
RECORD_FILE = "export.json"
CLIPS_TO_CHECK = 3
ONNX_FILE = f"{STEM}.onnx"


@dataclasses.dataclass(frozen=True)
class Checked:
    """On which clips an export was compared with its network, and by how much their scores differed at most."""

    clips: tuple[str, ...]
    difference: float


def dataset_clips(record: BundleRecord, catalog: Catalog) -> list[Clip]:
    """The first clips that the model was validated on; none where its dataset is not found any more."""
    try:
        dataset = recorded_plugin(record.dataset, "dataset", catalog)
        return list(islice(dataset.clips("valid"), CLIPS_TO_CHECK))
    except UserError:
        return []


def export(inference_model: InferenceModel, form: str, out: Path, clips: Sequence[Clip]) -> Checked:
    """Write the graph and `export.json` to the new folder `out`: waveform in, probabilities out, any batch and length.

    Refused, and nothing is left at `out`, where the graph's scores differ from the network's by more than 1e-4 on
    `clips`: each alone, cut short, and all in one batch. Raises UserError.
    """
    if form == "onnx":
        need_onnx()
    if out.exists():
        raise UserError(f"{out} is there already", "an export is a new folder", f"rm -r {out}")
    if not clips:
        wrong = "no sound to compare the export with: the model's own dataset is not found"
        raise UserError(wrong, "give sound files as --check FILE...")
    waveforms = _waveforms(inference_model, clips)
    checked: list[Checked] = []

    def fill(aside: Path) -> None:
        run, content = _write(inference_model, form, aside)
        difference = _difference(run, Dygraph(inference_model), waveforms)
        if not difference <= TOLERANCE:
            wrong = f"the export answers something else than the model: the scores differ by {difference:.2g}"
            raise UserError(wrong, f"allowed is {TOLERANCE:g}; compared on {', '.join(clip.id for clip in clips)}")
        checked.append(Checked(tuple(clip.id for clip in clips), difference))
        content["checked"] = dataclasses.asdict(checked[0])
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        (aside / RECORD_FILE).write_text(text + "\n", encoding="utf-8")

    storage.write_folder_atomic(out, fill)
    return checked[0]


def _write(inference_model: InferenceModel, form: str, folder: Path) -> tuple[Run, dict[str, Any]]:
    """The graph's files, what runs them, and the record."""
    program = save_graph(OutputLayer(inference_model.network, SCORES, inference_model.multi_label), folder)
    if form == "onnx":
        convert_to_onnx(program, folder / ONNX_FILE)
        run, files = open_onnx(folder / ONNX_FILE), [ONNX_FILE]
    else:
        run, files = open_paddle(program), [program.name, f"{STEM}.pdiparams"]
    for path in folder.iterdir():
        if path.name not in files:
            path.unlink()
    return run, {
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


def _difference(run: Run, dygraph: Dygraph, waveforms: np.ndarray) -> float:
    """The largest one; infinite where something is no number or has another shape."""
    return max(_differences(run, dygraph, waveforms))


def _differences(run: Run, dygraph: Dygraph, waveforms: np.ndarray) -> Iterator[float]:
    samples = waveforms.shape[1]
    alone = [waveforms[place : place + 1, : samples - place * (samples // 8)] for place in range(len(waveforms))]
    for batch in (waveforms, *alone):
        found, expected = run(batch), dygraph.ask(SCORES, batch)
        if found.shape != expected.shape or not np.isfinite(found).all():
            yield float("inf")
        else:
            yield float(np.abs(found - expected).max())
