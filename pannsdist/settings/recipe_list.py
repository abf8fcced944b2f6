"""What a recipe is about, for the list of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pannsdist.settings.loading import file_values
from pannsdist.settings.recipe_files import PREFIX, recipes


@dataclass(frozen=True)
class Recipe:
    """A recipe: the names of its dataset and model plugin, and the first line of its file."""

    name: str
    dataset: str
    model: str
    description: str


def trainable_recipes() -> list[Recipe]:
    """The recipes that name a dataset and a model, the one for a user's own sounds first."""
    found = []
    for name, path in recipes().items():
        values = file_values(Path(f"{PREFIX}{name}"))
        dataset, model = (_plugin(values, section) for section in ("data", "model"))
        if dataset and model:
            found.append(Recipe(name, dataset, model, _first_comment(path)))
    return sorted(found, key=lambda one: (one.name != "own_sounds", one.name))


def _plugin(values: dict[str, Any], section: str) -> str:
    part = values.get(section)
    return str(part.get("name", "")) if isinstance(part, dict) else ""


def _first_comment(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((line.lstrip("# ") for line in lines if line.startswith("#")), "")
