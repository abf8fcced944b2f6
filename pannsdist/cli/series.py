"""`pannsdist crossval` and `pannsdist sweep`: several runs with one command."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pannsdist.cli.arguments import from_one, names

if TYPE_CHECKING:
    from pannsdist.run.series.runs import Request


def add(commands: Any) -> None:
    """Add the subcommands to the parser."""
    crossval = commands.add_parser(
        "crossval", help="cross-validate: one run per fold, with mean and deviation of scores"
    )
    crossval.add_argument("--folds", type=_numbers, default=(), metavar="1,2,5", help="folds to run (default: all)")
    final = "then train a model on the clips of all folds, for the median of their best epochs"
    crossval.add_argument("--final", action="store_true", help=final)
    _add_series(crossval, "overrides of settings")
    crossval.set_defaults(run=run_crossval)
    sweep = commands.add_parser(
        "sweep", help="grid search: one run per combination of settings, with a table of results"
    )
    _add_series(sweep, "overrides of settings; key=a,b,c gives three values, key=[a,b] one list")
    sweep.set_defaults(run=run_sweep)


def _add_series(parser: argparse.ArgumentParser, overrides: str) -> None:
    parser.add_argument("-c", "--config", type=Path, required=True, help="settings file (YAML)")
    parser.add_argument("--nproc", type=from_one, default=1, help="processes per run (default: 1)")
    concurrency = parser.add_mutually_exclusive_group()
    concurrency.add_argument("--parallel", type=from_one, default=1, help="concurrent runs (default: 1)")
    gpus = "GPUs to use, --nproc per run; sets the number of concurrent runs"
    concurrency.add_argument("--gpus", type=names, default=(), metavar="0,1,2,3", help=gpus)
    parser.add_argument("--dry-run", action="store_true", help="validate and print the runs without starting them")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=overrides)


def run_crossval(chosen: argparse.Namespace) -> int:
    """Return the exit code: 75 if it was stopped and can be resumed."""
    from pannsdist.run.series.crossval import cross_validate

    return cross_validate(_request(chosen), chosen.folds, chosen.final)


def run_sweep(chosen: argparse.Namespace) -> int:
    """Return the exit code: 75 if it was stopped and can be resumed."""
    from pannsdist.run.series.sweep import sweep

    return sweep(_request(chosen))


def _request(chosen: argparse.Namespace) -> Request:
    from pannsdist.run.series.runs import Request

    return Request(
        chosen.config,
        tuple(chosen.overrides),
        chosen.command_line,
        chosen.nproc,
        chosen.parallel,
        chosen.gpus,
        chosen.dry_run,
    )


def _numbers(text: str) -> tuple[int, ...]:
    if not all(re.fullmatch("[0-9]{1,9}", name, re.ASCII) for name in names(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list such as 1,2,5")
    return tuple(int(name) for name in text.split(","))
