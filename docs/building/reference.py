"""The reference, generated from the code: the public names, every command, every key of the settings."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from itertools import groupby

import pannsdist
from pannsdist import contracts, settings
from pannsdist.cli.command_line import command_parser
from pannsdist.settings.schema import Settings

HELP_COLUMNS = "100"
TITLES = {
    "en": {
        "api": ("Python", "What `pannsdist` offers, and what a loaded model answers."),
        "contracts": ("Contracts", "What a plugin imports: `pannsdist.contracts`."),
        "cli": ("Commands", "The `--help` of every command."),
        "settings": ("Settings", "Every key of a settings file, as `pannsdist config show` prints it."),
    },
    "zh": {
        "api": ("Python", "`pannsdist` 提供的内容，以及加载后的模型。说明来自代码，为英文。"),
        "contracts": ("契约", "插件导入的内容：`pannsdist.contracts`。说明来自代码，为英文。"),
        "cli": ("命令", "每条命令的 `--help`，为英文。"),
        "settings": ("设置", "设置文件的每一个键，与 `pannsdist config show` 的输出相同。说明来自代码，为英文。"),
    },
}
COLUMNS = {"en": ("key", "default", "what it is"), "zh": ("键", "默认值", "说明")}


def generated() -> Iterator[tuple[str, str]]:
    """(place, content) of the pages of the reference in both languages."""
    bodies = {"api": api(), "contracts": names("pannsdist.contracts", contracts.__all__), "cli": commands()}
    for language, titles in TITLES.items():
        for name, (title, about) in titles.items():
            body = bodies.get(name) or keys(language)
            yield f"{language}/reference/{name}.md", f"# {title}\n\n{about}\n\n{body}"


def api() -> str:
    """The directives for mkdocstrings of what a user of the package meets."""
    own = [name for name in pannsdist.__all__ if not name.startswith("__")]
    return names("pannsdist", own) + names("pannsdist.inference.model", ["Model"])


def names(module: str, wanted: list[str]) -> str:
    """A directive for each name of a module, functions and classes before constants."""
    ordered = sorted(wanted, key=lambda name: (name.isupper(), name.lower()))
    return "".join(f"::: {module}.{name}\n\n" for name in ordered)


def commands() -> str:
    """Each command with its help, as a terminal of 100 columns shows it."""
    os.environ["COLUMNS"] = HELP_COLUMNS
    return "".join(f"## {name}\n\n```text\n{text}```\n\n" for name, text in helps(command_parser()))


def helps(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """(command, help) of a parser, and of all its commands."""
    yield parser.prog, parser.format_help()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in dict.fromkeys(action.choices.values()):
                yield from helps(child)


def keys(language: str) -> str:
    """A table of the keys of each part of the settings."""
    rows = [(key, default, doc) for key, default, doc in settings.describe(Settings)]
    lines = []
    for part, group in groupby(rows, key=lambda row: row[0].partition(".")[0] if "." in row[0] else ""):
        lines += [f"## {part}" if part else "", "", "| " + " | ".join(COLUMNS[language]) + " |", "|---|---|---|"]
        lines += [f"| `{key}` | `{cell(default)}` | {escaped(doc)} |" for key, default, doc in group]
        lines.append("")
    return "\n".join(lines)


def cell(default: object) -> str:
    """A default as a settings file has it."""
    return escaped("null" if default is None else '""' if default == "" else str(default))


def escaped(text: str) -> str:
    """Text in a cell of a table."""
    return text.replace("|", "\\|")
