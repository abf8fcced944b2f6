"""The `pannsdist` command: each sub-command is a thin call of the library."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pannsdist import __version__, settings
from pannsdist.cli import (
    calibrate,
    data,
    doctor,
    engines,
    evaluation,
    export,
    find_lr,
    init,
    logs,
    plugins,
    probe,
    report,
    runs,
    series,
    serve,
    sounds,
    train,
    weights,
)
from pannsdist.runtime import console, cpu, heap, streams
from pannsdist.runtime.errors import UserError, shell_command
from pannsdist.runtime.names import shown
from pannsdist.settings.schema import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return the exit code: 2 for a user error, 75 if it was stopped and can be resumed."""
    return console.exit_code(lambda: _run(arguments))


def command_parser() -> argparse.ArgumentParser:
    """The parser of the command with all its subcommands."""
    parser = streams.ArgumentParser(prog="pannsdist", description="Audio classification on PaddlePaddle.")
    parser.add_argument("--version", action="version", version=f"pannsdist {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    families = (
        init,
        probe,
        train,
        evaluation,
        calibrate,
        plugins,
        find_lr,
        sounds,
        export,
        serve,
        engines,
        weights,
        data,
        series,
        runs,
        report,
        logs,
        doctor,
    )
    for add in (_add_config, *(family.add for family in families)):
        add(commands)
    return parser


def _run(arguments: Sequence[str] | None) -> int | bool | None:
    chosen = _parse(command_parser(), arguments)
    chosen.command_line = shell_command("pannsdist", *(sys.argv[1:] if arguments is None else arguments))
    cpu.use_fast_kernels()
    heap.keep_freed_memory()
    console.quiet_paddle()
    result: int | bool | None = chosen.run(chosen)
    return result


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Accept key=value overrides anywhere among the options; argparse alone accepts them in one place only."""
    chosen, rest = parser.parse_known_args(arguments)
    unknown = [item for item in rest if item.startswith("-") or "=" not in item or not hasattr(chosen, "overrides")]
    if unknown:
        hint = " (settings are given as key=value, such as train.epochs=3)" if hasattr(chosen, "overrides") else ""
        chosen.parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    if rest:
        chosen.overrides = [*chosen.overrides, *rest]
    return chosen


def _add_config(commands: Any) -> None:
    parser = commands.add_parser("config", help="print settings, list recipes")
    config = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = config.add_parser("list", help="list the recipes that come with pannsdist: -c recipe:NAME")
    listing.set_defaults(run=lambda _: print("\n".join(recipe_lines())))
    showing = config.add_parser("show", help="print all settings; without -c, the defaults with descriptions")
    showing.add_argument("-c", "--config", type=Path, help="settings file (YAML)")
    showing.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of settings")
    showing.set_defaults(run=lambda chosen: show_settings(chosen.config, chosen.overrides))


def show_settings(config: Path | None, overrides: Sequence[str]) -> None:
    """Print the settings of a file as YAML; without a file, the schema: key, default and description."""
    if config is None and overrides:
        right = "settings are checked with their file; without one, the defaults are shown"
        command = shell_command("pannsdist", "config", "show", "-c", "FILE", *overrides)
        raise UserError(f"{shown(overrides[0])} is given without a settings file", right, command)
    if config is None:
        for key, default, doc in settings.describe(Settings):
            print(f"{key} = {default}   # {doc}")
        return
    chosen, _ = settings.load(config, overrides)
    print(settings.to_yaml(chosen), end="")


def recipe_lines() -> Iterator[str]:
    """Name, dataset, model and description of each recipe."""
    rows = [(one.name, one.dataset, one.model, one.description) for one in settings.trainable_recipes()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        yield "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row[:3], widths, strict=True)), row[3]])
