"""`pannsdist find-lr`: rising learning rates on the training clips, and the one to start from."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from pannsdist.run import lr_finder
from pannsdist.runtime import console, launcher
from pannsdist.runtime.errors import SettingsError, UserError


def add(commands: Any) -> None:
    """The sub-command for argparse."""
    parser = commands.add_parser("find-lr", help="try rising learning rates on the training clips, and suggest one")
    parser.add_argument("-c", "--config", type=Path, required=True, help="settings file (YAML)")
    parser.add_argument(
        "--steps", type=int, default=lr_finder.STEPS, help=f"steps to try, {lr_finder.STEPS} by default"
    )
    parser.add_argument(
        "--low", type=float, default=lr_finder.LOW, help=f"the lowest rate, {lr_finder.LOW:g} by default"
    )
    parser.add_argument(
        "--high", type=float, default=lr_finder.HIGH, help=f"the highest rate, {lr_finder.HIGH:g} by default"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="write the curve there")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> None:
    if launcher.size() > 1:
        raise UserError(
            "find-lr runs in one process", "a rate that suits one process suits several: the batch is theirs"
        )
    if not (chosen.steps >= 10 and 0 < chosen.low < chosen.high < math.inf):
        raise SettingsError("--steps is at least 10, and --low above 0 and below --high")
    search = lr_finder.find(chosen.config, chosen.overrides, chosen.steps, (chosen.low, chosen.high))
    console.print_main(lr_finder.table(search))
    if chosen.plot:
        lr_finder.plot(search, chosen.plot)
