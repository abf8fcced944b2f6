"""`pannsdist find-lr`: learning rate range test."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pannsdist.run import lr_finder
from pannsdist.runtime import console


def add(commands: Any) -> None:
    """Add the subcommand to the parser."""
    parser = commands.add_parser("find-lr", help="run a learning rate range test, and suggest a learning rate")
    parser.add_argument("-c", "--config", type=Path, required=True, help="settings file (YAML)")
    parser.add_argument(
        "--steps", type=int, default=lr_finder.STEPS, help=f"training steps (default: {lr_finder.STEPS})"
    )
    parser.add_argument(
        "--low", type=float, default=lr_finder.LOW, help=f"lowest learning rate (default: {lr_finder.LOW:g})"
    )
    parser.add_argument(
        "--high", type=float, default=lr_finder.HIGH, help=f"highest learning rate (default: {lr_finder.HIGH:g})"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="write a plot of the loss")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of settings")
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> None:
    if chosen.plot:
        lr_finder.check_plot(chosen.plot)
    search = lr_finder.find(chosen.config, chosen.overrides, chosen.steps, (chosen.low, chosen.high))
    console.print_main(lr_finder.table(search))
    if chosen.plot:
        lr_finder.plot(search, chosen.plot)
