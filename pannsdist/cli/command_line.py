"""The `pannsdist` command: each sub-command is a thin call of the library."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pannsdist import __version__, settings
from pannsdist.cli import data, find_lr, plugins, report, series, sounds, weights
from pannsdist.registry import Catalog
from pannsdist.runtime import console, cpu, streams
from pannsdist.runtime.errors import shell_command
from pannsdist.settings.schema import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return the exit code: 2 for a user error, 75 if it was stopped and can be resumed."""
    return console.exit_code(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int | bool | None:
    parser = streams.ArgumentParser(prog="pannsdist", description="Audio classification on PaddlePaddle.")
    parser.add_argument("--version", action="version", version=f"pannsdist {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    families = (plugins, find_lr, sounds, weights, data, series, report)
    for add in (_add_config, _add_evaluate, *(family.add for family in families)):
        add(commands)
    chosen = _parse(parser, arguments)
    chosen.command_line = shell_command("pannsdist", *(sys.argv[1:] if arguments is None else arguments))
    cpu.use_fast_kernels()
    console.quiet_paddle()
    result: int | bool | None = chosen.run(chosen)
    return result


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Accept key=value overrides anywhere among the options; argparse alone accepts them in one place only."""
    chosen, rest = parser.parse_known_args(arguments)
    unknown = [item for item in rest if item.startswith("-") or "=" not in item or not hasattr(chosen, "overrides")]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if rest:
        chosen.overrides = [*chosen.overrides, *rest]
    return chosen


def _add_config(commands: Any) -> None:
    config = commands.add_parser("config", help="print settings").add_subparsers(required=True, metavar="COMMAND")
    showing = config.add_parser("show", help="print all settings; without -c, the defaults with descriptions")
    showing.add_argument("-c", "--config", type=Path, help="settings file (YAML)")
    showing.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of settings")
    showing.set_defaults(run=lambda chosen: show_settings(chosen.config, chosen.overrides))


def _add_evaluate(commands: Any) -> None:
    parser = commands.add_parser("evaluate", help="evaluate a trained model on a split of a dataset")
    parser.add_argument("--model", type=Path, required=True, help="model folder, such as runs/NAME/best_model")
    parser.add_argument("-c", "--config", type=Path, required=True, help="settings file (YAML) with the dataset")
    parser.add_argument("--split", default="valid", help="split of the dataset (default: valid)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of settings")
    parser.set_defaults(run=lambda chosen: evaluate(chosen.model, chosen.config, chosen.overrides, chosen.split))


def show_settings(config: Path | None, overrides: Sequence[str]) -> None:
    """Print the settings of a file as YAML; without a file, the schema: key, default and description."""
    if config is None:
        for key, default, doc in settings.describe(Settings):
            print(f"{key} = {default}   # {doc}")
        return
    chosen, _ = settings.load(config, overrides)
    print(settings.to_yaml(chosen), end="")


def evaluate(model: Path, config: Path, overrides: Sequence[str], split: str) -> None:
    """Print all scores of a model on a split, in full precision."""
    from pannsdist.run.evaluation import evaluate_bundle

    chosen, origin = settings.load(config, overrides)
    evaluation = evaluate_bundle(model, chosen, origin, Catalog.installed(), split)
    for name, value in evaluation.scores.items():
        print(f"{name} {value!r}")
    for error in evaluation.bad:
        print(f"skipped: {error.wrong}", file=sys.stderr)
