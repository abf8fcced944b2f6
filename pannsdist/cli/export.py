"""`pannsdist export`: a model in a folder that runs without this package."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pannsdist.cli.model_arguments import RAW, add_model, sound_sources
from pannsdist.runtime import console, outputs
from pannsdist.runtime.names import shown

FORMATS = ("paddle", "onnx", "web")


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
    exporting.set_defaults(run=export)


def export(chosen: argparse.Namespace) -> None:
    """Export a model into a folder that can be used without this package."""
    console.quiet_compiler()
    outputs.require_folder(chosen.output, "-o")
    from pannsdist.contracts import Clip
    from pannsdist.inference.engines import export as exporting
    from pannsdist.inference.model import load_model
    from pannsdist.registry import Catalog

    clips = [Clip(shown(path), path, ()) for path in sound_sources(chosen.check)]
    model = load_model(chosen.model, chosen.weights, "dygraph", raw=chosen.raw)
    if model.record is not None:
        clips = clips or exporting.dataset_clips(model.record, Catalog.installed())
    if chosen.format == "web":
        from pannsdist.serving.web_export import export_web

        checked = export_web(model.inference_model, Path(chosen.model).name, chosen.output, clips)
    else:
        checked = exporting.export(model.inference_model, chosen.format, chosen.output, clips)
    print(f"{chosen.output}: {chosen.format}, verified with {', '.join(checked.clips)}")
    print(f"largest difference in scores: {checked.difference:.2g}")
