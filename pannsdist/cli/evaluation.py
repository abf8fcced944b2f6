"""`pannsdist evaluate`: the scores of a trained model on a split of a dataset."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from pannsdist import settings
from pannsdist.cli.arguments import add_device, from_one
from pannsdist.cli.model_arguments import add_model_folder
from pannsdist.runtime import devices, outputs, paddle_import, storage
from pannsdist.runtime.errors import UserError

FORMATS = ("table", "json", "csv")


def add(commands: Any) -> None:
    """Add the subcommand to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "evaluate", help="evaluate a trained model on a split of a dataset"
    )
    add_model_folder(parser)
    parser.add_argument("-c", "--config", type=Path, required=True, help="settings file (YAML) with the dataset")
    parser.add_argument("--split", default="valid", help="split of the dataset (default: valid)")
    parser.add_argument("--per-class", action="store_true", help="the scores of each class too; in CSV those alone")
    parser.add_argument("--format", choices=FORMATS, help="default: by the ending of -o, else table")
    parser.add_argument("-o", "--output", type=Path, help="output file (default: the terminal)")
    parser.add_argument(
        "--predictions", type=Path, metavar="FILE.csv", help="write truth, decision and probabilities of each clip"
    )
    parser.add_argument("--raw", action="store_true", help="without the decisions of `pannsdist calibrate`")
    add_device(parser)
    parser.add_argument(
        "--batch-size", type=from_one, metavar="N", help="clips per forward pass; sets valid.batch_size"
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of settings")
    parser.set_defaults(run=_evaluate)


def _evaluate(chosen: argparse.Namespace) -> None:
    form = _check_outputs(chosen)
    paddle_import.import_paddle()
    from pannsdist.inference.publishing.copies import model_folder
    from pannsdist.registry import Catalog
    from pannsdist.run.evaluation import evaluate_bundle
    from pannsdist.run.evaluation_output import write_predictions

    size = [] if chosen.batch_size is None else [f"valid.batch_size={chosen.batch_size}"]
    read, origin = settings.load(chosen.config, [*chosen.overrides, *size])
    with devices.selected(chosen.device):
        evaluated = evaluate_bundle(
            Path(model_folder(chosen.model)), read, origin, Catalog.installed(), chosen.split, chosen.raw
        )
    text = evaluated.text(form, chosen.per_class)
    for error in evaluated.evaluation.bad:
        print(f"skipped: {error.wrong}", file=sys.stderr)
    if chosen.predictions is not None:
        write_predictions(chosen.predictions, evaluated.predictions, evaluated.decisions)
    if chosen.output is None:
        print(text, end="")
    else:
        storage.write_atomic(chosen.output, text)


def _check_outputs(chosen: argparse.Namespace) -> str:
    """The format; refuses outputs that cannot be written, before the work."""
    form = outputs.format_of(chosen.output, chosen.format, FORMATS)
    if chosen.output is not None:
        outputs.require_file(chosen.output, "-o")
    if chosen.predictions is not None:
        outputs.require_suffix(chosen.predictions, (".csv",), "--predictions")
        outputs.require_file(chosen.predictions, "--predictions")
    if None not in (chosen.output, chosen.predictions) and chosen.output.resolve() == chosen.predictions.resolve():
        raise UserError(f"-o and --predictions are the same file, {chosen.output}", "give two names")
    return form
