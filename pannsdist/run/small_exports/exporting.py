"""Exports a model as ONNX with smaller weights, and refuses what loses more than was allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.contracts import Clip
from pannsdist.inference.engines import export as exporting
from pannsdist.inference.engines.compiled import max_difference
from pannsdist.inference.engines.export_check import batches, read_sounds
from pannsdist.inference.engines.onnx_runtime import load_onnx, require_onnx
from pannsdist.inference.engines.small_onnx.int8 import require_quantization
from pannsdist.inference.engines.small_onnx.shrinking import INT8, Size, shrink, size
from pannsdist.inference.model import Model
from pannsdist.inference.windowing import windowing
from pannsdist.registry import Catalog
from pannsdist.run.small_exports.judging import Graphs, Judgement, judged_by_agreement, judged_by_scores
from pannsdist.run.small_exports.sounds import training_clips, windows
from pannsdist.run.small_exports.speed import ratios
from pannsdist.runtime import storage
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.figures import score


@dataclass(frozen=True)
class SmallRequest:
    """What to export: a model and its folder, a precision, and the folder to create.

    `check` are sounds to compare on, `calibrate` those for the ranges of activations in int8, both by default of the
    model's own dataset. The score may be worse by `max_loss`.
    """

    model: Model
    folder: Path
    precision: str
    out: Path
    max_loss: float
    check: Sequence[Clip] = ()
    calibrate: Sequence[Clip] = ()


@dataclass(frozen=True)
class SmallExport:
    """What a smaller graph is beside the exact one; `speed` are its ratios of windows per second, one a round."""

    precision: str
    calibrated_on: int
    exact: Size
    small: Size
    judgement: Judgement
    speed: tuple[float, ...]


def export_small(request: SmallRequest, catalog: Catalog) -> SmallExport:
    """Write a smaller ONNX graph, that of frames too, and `export.json`, to the new folder `request.out`.

    The exact graph is made and compared first, as every export. Then the score that selected the model is compared on
    its validation clips; without its dataset every sound that is decided otherwise counts as lost. Raises UserError,
    and leaves nothing, where more than `max_loss` is lost, or a probability is not finite.
    """
    require_onnx()
    exporting.require_new(request.out)
    made: list[SmallExport] = []

    def fill(temporary: Path) -> None:
        with storage.temporary_folder() as folder:
            made.append(_fill(request, folder / "exact", temporary, catalog))

    storage.write_folder_atomic(request.out, fill)
    return made[0]


def _fill(request: SmallRequest, exact: Path, small: Path, catalog: Catalog) -> SmallExport:
    """Both exports: the exact one into a folder that goes, the small one into the one that stays."""
    record, model = request.model.record, request.model.inference_model
    own = [] if record is None else exporting.dataset_clips(record, catalog)
    calibrated = _calibration(request, catalog)
    check = request.check or own
    exporting.export(model, "onnx", exact, check)
    content = exporting.read_record(exact)
    kind, files = type(model.network.model).__name__, [*content["files"], *content.get("frames", {}).get("files", ())]
    for name in files:
        storage.make_folder((small / name).parent)
        shrink(exact / name, small / name, request.precision, kind, calibrated)
    graphs = Graphs(*(load_onnx(exact / name) for name in files)), Graphs(*(load_onnx(small / name) for name in files))
    sounds = read_sounds(model, check)
    differences = _differences(request, graphs[0], graphs[1], sounds)
    judgement = (
        judged_by_scores(request.folder, record, graphs, catalog)
        if own and record is not None
        else judged_by_agreement(sounds, model.multi_label, graphs)
    )
    _require(request, judgement)
    sizes = size(exact / files[0], kind), size(small / files[0], kind)
    speed = ratios(graphs[0].sounds, graphs[1].sounds, sounds, windowing(model).window)
    found = SmallExport(request.precision, len(calibrated), sizes[0], sizes[1], judgement, speed)
    exporting.write_record(small, _content(content, found, request.max_loss, differences))
    return found


def _calibration(request: SmallRequest, catalog: Catalog) -> list[np.ndarray]:
    """The windows that int8 is calibrated on; none in another precision. Raises UserError where there is none."""
    if request.precision != INT8:
        return []
    require_quantization()
    clips = request.calibrate or training_clips(request.model.record, catalog)
    if not clips:
        wrong = "no sound to measure the ranges of int8 on: the model's own dataset is not found"
        raise UserError(wrong, "give sounds like those it was trained on, some of each class, as --calibrate FILE...")
    return windows(request.model.inference_model, clips)


def _differences(request: SmallRequest, exact: Graphs, small: Graphs, sounds: Sequence[np.ndarray]) -> list[float]:
    """The largest difference of a probability at many lengths, and that of frames. Raises UserError if not finite."""
    model = request.model.inference_model
    lengths = batches(sounds, windowing(model))
    found = [max(max_difference(small.sounds(batch), exact.sounds(batch)) for batch in lengths)]
    if exact.frames is not None and small.frames is not None:
        waveforms = [np.resize(sound, model.frame_windows.window_samples)[None] for sound in sounds]
        found.append(max(max_difference(small.frames(one), exact.frames(one)) for one in waveforms))
    if not np.isfinite(found).all():
        raise UserError(f"in {request.precision} a probability is not finite", "export it with --precision fp32")
    return found


def _require(request: SmallRequest, judgement: Judgement) -> None:
    """Raise UserError where too much is lost."""
    if judgement.loss <= request.max_loss:
        return
    wrong = (
        f"{request.precision} loses {score(judgement.loss)}: {judgement.name} is {score(judgement.small)}, "
        f"of the exact export {score(judgement.exact)}"
    )
    other = "--precision fp16" if request.precision == INT8 else "--precision fp32"
    right = f"allowed: a loss of {request.max_loss:g} on {judgement.clips} clips; to allow more: --max-loss"
    raise UserError(wrong, f"{right}; or export it with {other}")


def _content(
    content: dict[str, Any], found: SmallExport, max_loss: float, differences: Sequence[float]
) -> dict[str, Any]:
    """What `export.json` says: the differences that were found take the place of those of the exact export."""
    content["checked"]["difference"] = differences[0]
    if len(differences) > 1:
        content["frames"]["difference"] = differences[1]
    details = asdict(found)
    return {**content, "precision": details.pop("precision"), "small": {**details, "max_loss": max_loss}}
