"""`pannsdist export`: a model in a folder that runs without this package."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pannsdist.cli.model_arguments import RAW, add_model, sound_sources
from pannsdist.runtime import console, outputs
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.names import expanded, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pannsdist.contracts import Clip
    from pannsdist.inference.model import Model

FORMATS = ("paddle", "onnx", "triton", "web")
EXACT, SMALL = "fp32", ("fp16", "int8")
MAX_LOSS = 0.005


def add(commands: Any) -> None:
    """Add the subcommand to the parser."""
    exporting = commands.add_parser(
        "export", help="export a model for Paddle Inference, onnxruntime, or a page in the browser"
    )
    add_model(exporting)
    exporting.add_argument("--format", choices=FORMATS, default="paddle")
    exporting.add_argument("-o", "--output", type=Path, required=True, help="folder to create")
    checks = "audio files to verify the export with (default: the first clips of the model's dataset)"
    exporting.add_argument("--check", nargs="+", default=[], metavar="FILE", help=checks)
    exporting.add_argument("--raw", action="store_true", help=RAW)
    precisions = "of the network's weights in ONNX (default: fp32)"
    exporting.add_argument("--precision", choices=(EXACT, *SMALL), default=EXACT, help=precisions)
    ranges = "audio files to measure the ranges of int8 on (default: clips of the model's training split)"
    exporting.add_argument("--calibrate", nargs="+", default=[], metavar="FILE", help=ranges)
    losses = f"by how much fp16 or int8 may be worse in the model's score (default: {MAX_LOSS})"
    exporting.add_argument("--max-loss", type=_fraction, default=MAX_LOSS, metavar="X", help=losses)
    exporting.set_defaults(run=export)


def export(chosen: argparse.Namespace) -> None:
    """Export a model into a folder that can be used without this package."""
    _refuse_unused(chosen)
    console.quiet_compiler()
    outputs.require_folder(chosen.output, "-o")
    from pannsdist.contracts import Clip
    from pannsdist.inference.model import load_model
    from pannsdist.inference.publishing.copies import model_folder

    check, calibrate = (
        [Clip(shown(path), path, ()) for path in sound_sources(files)] for files in (chosen.check, chosen.calibrate)
    )
    chosen.model = model_folder(chosen.model)
    model = load_model(chosen.model, chosen.weights, "dygraph", raw=chosen.raw)
    lines = (_triton if chosen.format == "triton" else _write)(chosen, model, chosen.output, check, calibrate)
    print(f"{chosen.output}: {chosen.format}{lines[0]}", *lines[1:], sep="\n")


def _triton(
    chosen: argparse.Namespace, model: Model, out: Path, check: Sequence[Clip], calibrate: Sequence[Clip]
) -> list[str]:
    """An ONNX export, which is checked, then in the layout of a model repository."""
    from pannsdist.inference.engines.onnx_runtime import require_onnx
    from pannsdist.runtime import storage

    require_onnx()
    from pannsdist.inference.engines import export as exporting
    from pannsdist.inference.engines import triton

    exporting.require_new(out)
    with storage.temporary_folder() as folder:
        lines = _write(chosen, model, folder / "exported", check, calibrate)
        names = triton.write_repository(folder / "exported", out, triton.model_name(_name(chosen, model)))
    return [*lines, f"models: {', '.join(names)}"]


def _write(
    chosen: argparse.Namespace, model: Model, out: Path, check: Sequence[Clip], calibrate: Sequence[Clip]
) -> list[str]:
    """Write the export; gives what to say of it, the first line to be put behind its name and format."""
    if chosen.precision == EXACT:
        return _exact(chosen, model, out, check)
    return _small(chosen, model, out, check, calibrate)


def _exact(chosen: argparse.Namespace, model: Model, out: Path, clips: Sequence[Clip]) -> list[str]:
    from pannsdist.inference.engines import export as exporting
    from pannsdist.registry import Catalog

    if model.record is not None:
        clips = clips or exporting.dataset_clips(model.record, Catalog.installed())
    if chosen.format == "web":
        from pannsdist.serving.web_export import export_web

        checked = export_web(model.inference_model, _name(chosen, model), out, clips)
    else:
        form = "onnx" if chosen.format == "triton" else chosen.format
        checked = exporting.export(model.inference_model, form, out, clips)
    difference = f"largest difference in scores: {checked.difference:.2g}"
    return [f", verified with {', '.join(checked.clips)}", difference]


def _small(
    chosen: argparse.Namespace, model: Model, out: Path, check: Sequence[Clip], calibrate: Sequence[Clip]
) -> list[str]:
    from pannsdist.registry import Catalog
    from pannsdist.run.small_exports.exporting import SmallRequest, export_small
    from pannsdist.run.small_exports.table import lines

    folder = expanded(chosen.model)
    request = SmallRequest(model, folder, chosen.precision, out, chosen.max_loss, check, calibrate)
    return [f", {chosen.precision}", *lines(export_small(request, Catalog.installed()))]


def _name(chosen: argparse.Namespace, model: Model) -> str:
    """The name of a model: that of its run, else that of its plugin."""
    return chosen.model if model.record is None else str(model.record.settings.get("name", model.record.model.name))


def _refuse_unused(chosen: argparse.Namespace) -> None:
    """Options that the others leave without effect are refused."""
    if chosen.precision != EXACT and chosen.format in ("paddle", "web"):
        wrong = f"--format {chosen.format} has no {chosen.precision}"
        raise UserError(wrong, "a smaller precision is for onnx and triton", "use --format onnx")
    if chosen.calibrate and chosen.precision != "int8":
        raise UserError("--calibrate is for --precision int8 alone", "leave it out, or export int8")


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value
