"""Settings files: YAML or JSON, each upon the file that its `base:` names; nothing is validated here."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pannsdist.runtime.errors import SettingsError, UserError, shell_command
from pannsdist.settings import recipe_files
from pannsdist.settings.growth import bounded_text

YAML_FORM = "one `key: value` per line, two spaces per level"
ENDINGS = (".yaml", ".yml", ".json")
"""Of settings files. A file with another ending is not read, so that no message shows the lines of, say, a key file."""


@dataclass(frozen=True)
class Layer:
    """Values from one source: a file or the command line."""

    source: str
    values: Mapping[str, Any]


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the output of `to_yaml` as plain nested dictionaries."""
    return dict(file_layers(path)[-1].values)


def file_values(path: Path) -> dict[str, Any]:
    """The values of a file and its bases as they are written, sections merged; nothing is validated."""
    merged = OmegaConf.merge(*(OmegaConf.create(dict(layer.values)) for layer in file_layers(path)))
    values = OmegaConf.to_container(merged)
    return {str(key): value for key, value in values.items()} if isinstance(values, dict) else {}


def file_layers(given: Path, chain: tuple[Path, ...] = ()) -> list[Layer]:
    """The layers of a file or `recipe:NAME`, those of its `base:` file first; `base:` is relative to the file."""
    if "\0" in str(given):
        raise SettingsError(f"{str(given)!r} is not the name of a file", "give a YAML file with -c")
    path = recipe_files.located(given)
    real = Path(os.path.realpath(path))  # `Path.resolve` raises RuntimeError for links in a circle
    if real in chain:
        loop = " -> ".join(str(p) for p in (*chain, path))
        raise SettingsError(f"circular base files: {loop}", "remove one `base:` line")
    for name in (path, real):
        if name.suffix.lower() not in ENDINGS:
            right = f"the name of a settings file, and of what it links to, ends in {' or '.join(ENDINGS)}"
            right += f"\n{recipe_files.hint(path)}" if str(path) in recipe_files.recipes() else ""
            raise SettingsError(f"{path} is not a settings file: it is not read", right)
    try:
        values = OmegaConf.to_container(OmegaConf.load(io.StringIO(bounded_text(path))))
    except FileNotFoundError:
        wrong = f"no settings file {path}"
        raise SettingsError(wrong, recipe_files.hint(path), "pannsdist config list") from None
    except UserError as error:
        raise SettingsError(error.wrong, error.right, error.command) from error
    except OSError as error:
        said = error.strerror or error
        raise SettingsError(f"cannot read {path}: {said}", "", shell_command("ls", "-l", path)) from error
    except Exception as error:  # PyYAML and OmegaConf raise many kinds
        raise SettingsError(f"{path} is not valid YAML: {error}", YAML_FORM) from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path} contains no keys", YAML_FORM)
    base = values.pop("base", None)
    if base is not None and not isinstance(base, str):
        raise SettingsError(f"base in {path} is {base!r}", "base: the path of one YAML file, relative to this one")
    before = file_layers(recipe_files.base_of(given, base), (*chain, real)) if base else []
    return [*before, Layer(str(given), {str(key): value for key, value in values.items()})]
