"""Exports a model as a page: static files that compute in the browser, without a server of ours."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.audio.reader import Recording
from pannsdist.contracts import Clip
from pannsdist.inference.detection import Rule, decided_rule
from pannsdist.inference.engines.compiled import TOLERANCE, max_difference
from pannsdist.inference.engines.dygraph import Dygraph
from pannsdist.inference.engines.export import ONNX_FILE, RECORD_FILE, export, require_new
from pannsdist.inference.engines.export_check import ExportCheck, read_sounds
from pannsdist.inference.engines.onnx_runtime import load_onnx, require_onnx
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.inference.predictor import Predictor
from pannsdist.inference.windowing import windowing
from pannsdist.runtime import storage
from pannsdist.runtime.errors import UserError
from pannsdist.serving.web_resampling import RATES_HZ, is_small, measured_taps

MODEL, RUNTIME, RESAMPLING = "model", "onnxruntime", "resampling"
"""Folders of a page, beside its own files."""
PAGE_FILE = "page.json"
OF_SERVERS = (PAGE_FILE, "server.js")
RUNTIME_PACKAGE = "pannsdist_web"
SCRIPT, BINARY, LICENCE = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm", "LICENSE-onnxruntime.txt"
SCRIPT_ON_HOSTS = "ort.js"
"""Hosts that know no `.mjs` would serve it as what no browser takes for a script."""


def export_web(inference_model: InferenceModel, name: str, out: Path, clips: Sequence[Clip]) -> ExportCheck:
    """Write a page to the new folder `out`, which any host of static files serves, and which names the model `name`.

    The network is the ONNX graph of `export`, compared with `predict` on `clips`. Raises UserError, and leaves nothing
    at `out`, where a score differs by more than 1e-4, and where the runtime for browsers is not installed.
    """
    require_onnx()
    require_new(out)
    runtime = runtime_folder()
    checks: list[ExportCheck] = []

    def fill(temporary: Path) -> None:
        # The page pads, so that one graph serves whole sounds and the windows of 1 s in which events are looked for.
        unpadded = dataclasses.replace(inference_model, pad_to_s=inference_model.minimum_s)
        checks.append(export(unpadded, "onnx", temporary / MODEL, clips))
        _check_window(inference_model, temporary / MODEL / ONNX_FILE, clips)
        page = _page_record(inference_model, name)
        page["resampling"] = _write_resampling(inference_model.rate_hz, temporary)
        _copy_page(temporary)
        _copy_runtime(runtime, temporary / RUNTIME)
        text = json.dumps(page, indent=2, ensure_ascii=False, allow_nan=False)
        storage.write_file(temporary / PAGE_FILE, text + "\n")

    storage.write_folder_atomic(out, fill)
    return checks[0]


def runtime_folder() -> Path:
    """The package with onnxruntime-web. Raises UserError where it is not installed, or was installed without it."""
    found = find_spec(RUNTIME_PACKAGE)
    if found is None or found.origin is None:
        right = "its files run the network in the browser"
        raise UserError(
            "a page needs onnxruntime-web, of the package pannsdist-web", right, "pip install pannsdist-web"
        )
    folder = Path(found.origin).parent
    if not all((folder / "runtime" / name).is_file() for name in (SCRIPT, BINARY)):
        wrong = f"pannsdist-web in {folder} has no files of onnxruntime-web"
        raise UserError(wrong, "its installation fetches them with npm", "pip install --force-reinstall pannsdist-web")
    return folder


def _page_record(inference_model: InferenceModel, name: str) -> dict[str, Any]:
    """What `browser.js` reads, but for the filters."""
    by_frame = bool(inference_model.frame_samples)
    decisions, classes = inference_model.decisions, len(inference_model.labels)
    frame_s = inference_model.frame_s if by_frame else 0.0
    rule = Rule() if decisions is None else decided_rule(decisions, frame_s, None, 0.0, 0.0)
    detection: dict[str, Any] = {
        "window_samples": windowing(inference_model, inference_model.detection_window_s).window,
        "thresholds": list(rule.thresholds or (rule.threshold,) * classes),
        "median_frames": list(rule.median_frames or (1,) * classes),
    }
    if inference_model.has_framewise and not by_frame:
        detection["remark"] = "its events are those of `pannsdist detect --window 1`, not those by frame"
    return {
        "engine": "browser",
        "name": name,
        "model": f"{MODEL}/{RECORD_FILE}",
        "runtime": {"script": f"{RUNTIME}/{SCRIPT_ON_HOSTS}", "binary": f"{RUNTIME}/{BINARY}"},
        "pad_to_samples": windowing(inference_model).pad_to,
        "detection": detection,
        **({"frames": {"is_whole": inference_model.frame_windows.is_whole}} if by_frame else {}),
    }


def _check_window(inference_model: InferenceModel, graph: Path, clips: Sequence[Clip]) -> None:
    """Compare the graph with the probabilities of a window of detection. Raises UserError."""
    window_s, run = inference_model.detection_window_s, load_onnx(graph)
    predictor = Predictor(inference_model, window_s, engine=Dygraph(inference_model))
    samples = windowing(inference_model, window_s).window
    for number, sound in enumerate(read_sounds(inference_model, clips)):
        waveform = np.resize(sound, samples)
        (expected,) = predictor.timeline(Recording(f"sound {number}", waveform, inference_model.rate_hz))
        difference = max_difference(run(waveform[None])[0], expected.output)
        if not difference <= TOLERANCE:
            wrong = f"the export gives other scores than the model: they differ by {difference:.2g}"
            raise UserError(wrong, f"the tolerance is {TOLERANCE:g}; compared at {samples} samples")


def _write_resampling(rate_hz: int, folder: Path) -> dict[str, Any]:
    """A file of filters for each rate of sound files; gives what `resampling.js` needs to know of them."""
    storage.make_folder(folder / RESAMPLING)
    records = {}
    for own_hz in (own_hz for own_hz in RATES_HZ if is_small(own_hz, rate_hz)):
        found = measured_taps(own_hz, rate_hz)
        file = f"{RESAMPLING}/{own_hz}.f32"
        parts = (found.taps, found.start)
        storage.write_file(folder / file, b"".join(part.astype("<f4").tobytes() for part in parts))
        shape = {"phases": found.phases, "step": found.step, "reach": found.reach}
        records[str(own_hz)] = {"file": file, **shape, "start": list(found.start.shape)}
    return records


def _copy_page(folder: Path) -> None:
    """The page of the server, with its other engine."""
    with resources.as_file(resources.files("pannsdist.serving") / "page") as page:
        for path in page.iterdir():
            if path.is_file() and path.name not in OF_SERVERS:
                storage.write_file(folder / path.name, path.read_bytes())


def _copy_runtime(runtime: Path, folder: Path) -> None:
    """onnxruntime-web, with its licence, and the notices about what is in it where onnxruntime brings them."""
    storage.make_folder(folder)
    names = {
        runtime / "runtime" / SCRIPT: SCRIPT_ON_HOSTS,
        runtime / "runtime" / BINARY: BINARY,
        runtime / LICENCE: LICENCE,
    }
    native = find_spec("onnxruntime")
    if native is not None and native.origin is not None:
        notices = Path(native.origin).parent / "ThirdPartyNotices.txt"
        names.update({notices: notices.name} if notices.is_file() else {})
    for path, name in names.items():
        storage.write_file(folder / name, path.read_bytes())
