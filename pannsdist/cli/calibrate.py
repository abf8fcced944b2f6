"""`pannsdist calibrate`: temperature, thresholds and "none of these" for a trained model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pannsdist.cli.arguments import add_device
from pannsdist.runtime import devices, paddle_import


def add(commands: Any) -> None:
    """Add the subcommand to the parser."""
    what = "fit the decisions of a trained model: temperature, a threshold for each class, none of these"
    parser: argparse.ArgumentParser = commands.add_parser("calibrate", help=what)
    parser.add_argument("--model", type=Path, required=True, help="run folder or model folder, such as runs/NAME")
    held_out = "split to fit on, which the model did not train on (default: valid)"
    parser.add_argument("--split", default="valid", help=held_out)
    goals = parser.add_mutually_exclusive_group()
    goals.add_argument("--precision", type=float, metavar="P", help="thresholds with at least this precision")
    goals.add_argument("--recall", type=float, metavar="R", help="thresholds with at least this recall")
    rejected = "fraction of the clips of known classes that may become none of these (default: 0.05)"
    parser.add_argument("--reject", type=float, default=0.05, metavar="RATE", help=rejected)
    parser.add_argument("-c", "--config", type=Path, help="settings file with the dataset (default: that of the run)")
    add_device(parser)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of settings")
    parser.set_defaults(run=_calibrate)


def _calibrate(chosen: argparse.Namespace) -> None:
    paddle_import.import_paddle()
    from pannsdist.registry import Catalog
    from pannsdist.run.calibration.calibrate import CalibrationRequest, calibrate
    from pannsdist.run.calibration.fitting import Wish
    from pannsdist.run.calibration.thresholds import Goal

    named = {name: value for name in ("precision", "recall") if (value := getattr(chosen, name)) is not None}
    wish = Wish(Goal(*next(iter(named.items()))) if named else Goal(), chosen.reject)
    request = CalibrationRequest(chosen.model, chosen.split, wish, chosen.config, tuple(chosen.overrides))
    with devices.selected(chosen.device):
        print(calibrate(request, Catalog.installed()))
