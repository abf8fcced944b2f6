"""The `pannsdist` command: each sub-command is a thin call of the library."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pannsdist import __version__, settings
from pannsdist.cli import data, find_lr, plugins, report, series, sounds, weights
from pannsdist.registry import Catalog
from pannsdist.runtime import console, cpu
from pannsdist.runtime.errors import EXIT_USER_ERROR
from pannsdist.settings.schema import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sub-command; gives the exit code: 2 for a user's mistake, 75 where it was stopped and can be continued."""
    parser = argparse.ArgumentParser(prog="pannsdist", description="Audio networks on PaddlePaddle.")
    parser.add_argument("--version", action="version", version=f"pannsdist {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    families = (plugins, find_lr, sounds, weights, data, series, report)
    for add in (_add_config, _add_evaluate, *(family.add for family in families)):
        add(commands)
    chosen = _parse(parser, arguments)
    chosen.command_line = shlex.join(["pannsdist", *(sys.argv[1:] if arguments is None else arguments)])
    cpu.use_fast_kernels()
    console.quiet_paddle()
    answers: list[int | bool | None] = []
    code = console.exit_code(lambda: answers.append(chosen.run(chosen)))
    return code or _exit_code(answers[0])


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Settings may stand before, between and after options; argparse itself takes them in one place alone."""
    chosen, rest = parser.parse_known_args(arguments)
    strange = [item for item in rest if item.startswith("-") or "=" not in item or not hasattr(chosen, "overrides")]
    if strange:
        parser.error(f"unrecognized arguments: {' '.join(strange)}")
    if rest:
        chosen.overrides = [*chosen.overrides, *rest]
    return chosen


def _exit_code(answer: int | bool | None) -> int:
    """A sub-command answers nothing, its exit code, or False where something could not be done."""
    if isinstance(answer, bool):
        return 0 if answer else EXIT_USER_ERROR
    return answer or 0


def _add_config(commands: Any) -> None:
    config = commands.add_parser("config", help="settings").add_subparsers(required=True, metavar="COMMAND")
    showing = config.add_parser("show", help="every key and what it is; without -c, the defaults and what they mean")
    showing.add_argument("-c", "--config", type=Path, help="settings file (YAML)")
    showing.add_argument("overrides", nargs="*", metavar="key=value")
    showing.set_defaults(run=lambda chosen: show_settings(chosen.config, chosen.overrides))


def _add_evaluate(commands: Any) -> None:
    parser = commands.add_parser("evaluate", help="the scores of a trained model on a split of a dataset")
    parser.add_argument("--model", type=Path, required=True, help="a model folder, such as runs/NAME/best_model")
    parser.add_argument("-c", "--config", type=Path, required=True, help="settings file that names the dataset")
    parser.add_argument("--split", default="valid")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.set_defaults(run=lambda chosen: evaluate(chosen.model, chosen.config, chosen.overrides, chosen.split))


def show_settings(config: Path | None, overrides: Sequence[str]) -> None:
    """The settings of a file as YAML; without a file, the schema: key, default and meaning."""
    if config is None:
        for key, default, doc in settings.describe(Settings):
            print(f"{key} = {default}   # {doc}")
        return
    chosen, _ = settings.load(config, overrides)
    print(settings.to_yaml(chosen), end="")


def evaluate(model: Path, config: Path, overrides: Sequence[str], split: str) -> None:
    """Every score of a model on a split, to the last digit."""
    from pannsdist.run.evaluation import evaluate_bundle

    chosen, origin = settings.load(config, overrides)
    evaluation = evaluate_bundle(model, chosen, origin, Catalog.installed(), split)
    for name, value in evaluation.scores.items():
        print(f"{name} {value!r}")
    for error in evaluation.bad:
        print(f"skipped: {error.wrong}", file=sys.stderr)
