"""A new plugin: an installable folder that works as it is written, and keeps the contract."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from pannsdist import contracts
from pannsdist.registry import Catalog
from pannsdist.runtime.errors import UserError, candidates_line

TEMPLATES = {
    "setup.cfg": "setup.cfg",
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "gitignore": ".gitignore",
    "test.yml": ".github/workflows/test.yml",
    "test.py": "tests/test_@name@.py",
}
"""Where each template goes; the source file's bears the name of the kind."""
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
    """Write `pannsdist-NAME` below `place`, and give its path.

    Raises UserError for a name that is no name, or that is taken, and where something stands in the way.
    """
    if kind not in contracts.GROUPS:
        raise UserError(f"unknown kind of plugin '{kind}'", candidates_line(kind, contracts.GROUPS, "kinds"))
    if not NAME.fullmatch(name):
        proposed = "_".join(re.findall("[a-z0-9]+", name.lower())).lstrip("0123456789_") or "birdsong"
        wrong = f"'{name}' is no name for a plugin"
        raise UserError(
            wrong, "small letters, digits and single _ between them", f"pannsdist plugins new {kind} {proposed}"
        )
    distribution = f"pannsdist-{name.replace('_', '-')}"
    _refuse_taken(kind, name, distribution, catalog)
    folder = place / distribution
    if folder.exists():
        raise UserError(f"{folder} is there already", "choose another name, or another place with -o")
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
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_filled(_template(template), words), encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}", "give another place with -o") from error
    return folder


def _refuse_taken(kind: str, name: str, distribution: str, catalog: Catalog) -> None:
    """The same name of the same kind, or the same distribution with a plugin of another kind."""
    for entry in catalog:
        if (entry.kind, entry.name) == (kind, name):
            wrong = f"{entry.origin} offers {kind} '{name}', and {distribution} would offer it too"
            raise UserError(wrong, "choose another name", "pannsdist plugins list")
        if entry.origin.distribution == distribution:
            wrong = (
                f"{entry.origin} is installed with {entry.kind} '{entry.name}', and this would be {distribution} too"
            )
            raise UserError(wrong, f"choose another name, or add the {kind} to that distribution")


def _template(name: str) -> str:
    return (files("pannsdist.devkit") / "templates" / f"{name}.txt").read_text(encoding="utf-8")


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text
