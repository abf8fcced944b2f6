"""Recipes: the settings files that come with pannsdist, named `recipe:NAME` wherever a settings file is given.

They are the files of `configs/` in a checkout; a wheel has a copy of them in `settings/recipes` (setup.py). Those in
its folder `soundscapes` are no settings but recipes of `pannsdist data mix`, named `recipe:soundscapes/NAME`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pannsdist.runtime.errors import SettingsError, candidates_line

PREFIX = "recipe:"
ENDING = ".yaml"
SOUNDSCAPES = "soundscapes"
_INSTALLED = Path(__file__).parent / "recipes"
_CHECKOUT = Path(__file__).parents[2] / "configs"


@cache
def recipes() -> dict[str, Path]:
    """The file of each recipe by its name, sorted."""
    return {path.stem: path for path in sorted(_folder().glob(f"*{ENDING}"))}


@cache
def soundscape_recipes() -> dict[str, Path]:
    """The file of each recipe of soundscapes by its name, `soundscapes/NAME`, sorted."""
    return {f"{SOUNDSCAPES}/{path.stem}": path for path in sorted((_folder() / SOUNDSCAPES).glob(f"*{ENDING}"))}


def _folder() -> Path:
    return _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT


def is_recipe(path: Path | str) -> bool:
    """Whether this names a recipe, known or not."""
    return str(path).startswith(PREFIX)


def located(path: Path) -> Path:
    """The file of a recipe; any other path unchanged. Raises SettingsError for an unknown recipe."""
    if not is_recipe(path):
        return path
    name = str(path).removeprefix(PREFIX)
    known = recipes() | soundscape_recipes()
    found = known.get(name.removesuffix(ENDING))
    if found is None:
        right = candidates_line(name, known, "recipes")
        raise SettingsError(f"unknown recipe {name!r}", right, "pannsdist config list")
    return found


def base_of(path: Path, base: str) -> Path:
    """The file that `base:` in `path` names: a recipe, or a path relative to the file."""
    if is_recipe(base):
        return Path(base)
    return Path(f"{PREFIX}{Path(base).stem}") if is_recipe(path) else path.parent / base


def hint(path: Path) -> str:
    """What to give in place of a file that is not there."""
    same = f"there is a recipe of that name: {PREFIX}{path.stem}\n" if path.stem in recipes() else ""
    return f"{same}give a YAML file with -c, or a recipe, as {PREFIX}NAME"
