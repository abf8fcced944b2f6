"""Scaffold for a new plugin: an installable folder that works unchanged and passes the conformance checks."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from pannsdist import contracts
from pannsdist.registry import Catalog
from pannsdist.runtime import outputs, storage
from pannsdist.runtime.errors import UserError, candidates_line, shell_command

TEMPLATES = {
    "setup.cfg": "setup.cfg",
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "gitignore": ".gitignore",
    "test.yml": ".github/workflows/test.yml",
    "test.py": "tests/test_@name@.py",
}
"""Target path of each template; the module's template is named after the kind."""
USAGE = {
    "dataset": "data: {name: @name@}",
    "model": "model: {name: @name@}",
    "feature": "feature: {name: @name@}",
    "augmentation": "augment: {@name@: {}}",
    "metric": "metrics: {@name@: {}}\nselect: {metric: valid/@name@}",
    "optimizer": "optimizer: {name: @name@, learning_rate: 3.0e-5}",
    "schedule": "schedule: {name: @name@, warmup_epochs: 1}",
    "tracker": "trackers: {@name@: {}}",
}
NAME = re.compile("[a-z][a-z0-9]*(_[a-z0-9]+)*")


def write_plugin(kind: str, name: str, place: Path, catalog: Catalog) -> Path:
    """Write the folder `pannsdist-NAME` in `place`, and return its path.

    Raises UserError for an invalid name, for a name already in use, and if the folder exists or cannot be written.
    """
    if kind not in contracts.GROUPS:
        raise UserError(f"unknown kind of plugin '{kind}'", candidates_line(kind, contracts.GROUPS, "kinds"))
    if not NAME.fullmatch(name):
        proposed = "_".join(re.findall("[a-z0-9]+", name.lower())).lstrip("0123456789_") or "birdsong"
        wrong = f"'{name}' is not a valid plugin name"
        raise UserError(
            wrong,
            "lower-case letters, digits and single underscores",
            shell_command("pannsdist", "plugins", "new", kind, proposed),
        )
    distribution = f"pannsdist-{name.replace('_', '-')}"
    _refuse_taken(kind, name, distribution, catalog)
    folder = place / distribution
    outputs.require_folder(folder, "-o")
    if folder.exists():
        raise UserError(f"{folder} already exists", "choose another name, or another folder with -o")
    words = {
        "usage": USAGE[kind],
        "kind": kind,
        "name": name,
        "class": "".join(word.capitalize() for word in name.split("_")),
        "package": f"pannsdist_{name}",
        "distribution": distribution,
        "group": contracts.GROUPS[kind],
    }
    for template, target in {**TEMPLATES, f"{kind}.py": "@package@.py"}.items():
        path = folder / _filled(target, words)
        storage.make_folder(path.parent)
        storage.write_file(path, _filled(_template(template), words))
    return folder


def _refuse_taken(kind: str, name: str, distribution: str, catalog: Catalog) -> None:
    """Refuse a name that an installed plugin of this kind has, and a distribution that is already installed."""
    for entry in catalog:
        if (entry.kind, entry.name) == (kind, name):
            wrong = f"{kind} '{name}' is already provided by {entry.origin}; {distribution} would provide it again"
            raise UserError(wrong, "choose another name", "pannsdist plugins list")
        if entry.origin.distribution == distribution:
            wrong = (
                f"a distribution {distribution} is already installed: {entry.origin} with {entry.kind} '{entry.name}'"
            )
            raise UserError(wrong, f"choose another name, or add the {kind} to that distribution")


def _template(name: str) -> str:
    return (files("pannsdist.devkit") / "templates" / f"{name}.txt").read_text(encoding="utf-8")


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text
