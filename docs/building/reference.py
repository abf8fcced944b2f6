"""The reference, generated from the code: the public names, every command, every key of the settings."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

import pannsdist
from pannsdist import contracts, settings
from pannsdist.cli.command_line import command_parser
from pannsdist.inference.model import Model
from pannsdist.settings.schema import Settings

HELP_COLUMNS = "90"
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
    bodies = {"api": api(), "contracts": contract(), "cli": commands()}
    for language, titles in TITLES.items():
        for name, (title, about) in titles.items():
            body = bodies.get(name) or keys(language)
            yield f"{language}/reference/{name}.md", f"# {title}\n\n{about}\n\n{body}"


def api() -> str:
    """The directives for mkdocstrings of what a user of the package meets, where it is defined."""
    offered = [getattr(pannsdist, name) for name in pannsdist.__all__ if not name.startswith("__")]
    return "".join(f"::: {one.__module__}.{one.__name__}\n\n" for one in (*offered, Model))


def contract() -> str:
    """Those of what a plugin imports; functions and classes before constants."""
    ordered = sorted(contracts.__all__, key=lambda name: (name.isupper(), name.lower()))
    return "".join(f"::: pannsdist.contracts.{name}\n\n" for name in ordered)


def commands() -> str:
    """Each command with its help, as a terminal shows it."""
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
    """A table of the keys of each part of the settings, those of no part first."""
    parts: dict[str, list[str]] = {"": []}
    for key, default, doc in settings.describe(Settings):
        row = f"| `{key}` | `{cell(default)}` | {escaped(doc)} |\n"
        parts.setdefault(key.partition(".")[0] if "." in key else "", []).append(row)
    head = "| " + " | ".join(COLUMNS[language]) + " |\n|---|---|---|\n"
    return "".join(f"{f'## {part}' if part else ''}\n\n{head}{''.join(rows)}\n" for part, rows in parts.items())


def cell(default: object) -> str:
    """A default as a settings file has it."""
    return escaped("null" if default is None else '""' if default == "" else str(default))


def escaped(text: str) -> str:
    """Text in a cell of a table."""
    return text.replace("|", "\\|")
