"""Where settings come from: a YAML file or recipe with its `base:` files, a mapping of Python, and overrides."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from pannsdist.runtime.errors import SettingsError, UserError, shell_command
from pannsdist.runtime.foreign import excerpt
from pannsdist.runtime.names import shown
from pannsdist.settings import recipe_files
from pannsdist.settings.growth import bounded_text
from pannsdist.settings.plain import NotPlain, plain

COMMAND_LINE, MAPPING = "the command line", "the given mapping"
YAML_FORM = "one `key: value` per line, two spaces per level"
REFERENCE = "${"
NO_REFERENCE = (
    "`${` begins a reference in YAML readers, and settings have none: "
    "write the value itself; rename a file or folder that has it in its name, or give a link to it, made with ln -s"
)
ENDINGS = (".yaml", ".yml", ".json")
"""Of settings files. A file with another ending is not read, so that no message shows the lines of, say, a key file."""


@dataclass(frozen=True)
class Layer:
    """Values from one source: a file, a mapping of Python, or overrides."""

    source: str
    values: Mapping[str, Any]
    is_file: bool = False


@dataclass(frozen=True)
class SettingsOrigin:
    """The sources of the settings, so that an error message can name the file that set a key.

    `show_keys` is the command that prints every key, of files that are no settings.
    """

    layers: tuple[Layer, ...] = ()
    show_keys: str = ""

    def where(self, key: str) -> str:
        """`key in FILE` for the last source that set `key` or its nearest parent; `key` alone for a default."""
        names = key.split(".")
        for depth in range(len(names), 0, -1):
            for layer in reversed(self.layers):
                if _contains(layer.values, names[:depth]):
                    return f"{key} {'on' if layer.source == COMMAND_LINE else 'in'} {layer.source}"
        return key

    @property
    def command(self) -> str:
        """The command that prints the merged settings of the file, or every key where there is only a mapping."""
        if self.show_keys:
            return self.show_keys
        files = [layer.source for layer in self.layers if layer.is_file]
        if not files and any(layer.source == MAPPING for layer in self.layers):
            return shell_command("pannsdist", "config", "show")
        return shell_command("pannsdist", "config", "show", "-c", files[-1] if files else "FILE")


def mapping_layers(given: Mapping[str, Any]) -> list[Layer]:
    """The layers of settings as nested mappings, those of its `base` first, a file or `recipe:NAME`."""
    dotted = next((key for key in given if isinstance(key, str) and "." in key), "")
    if dotted:
        section, _, key = dotted.partition(".")
        right = f"sections are nested: {{{section!r}: {{{key!r}: {given[dotted]!r}}}}}"
        raise SettingsError(f"the key {dotted!r} of {MAPPING} has a dot", right)
    try:
        values = plain(dict(given), "")
    except NotPlain as error:
        right = "allowed: text, paths, finite numbers, true and false, lists, and mappings with text keys"
        raise SettingsError(f"setting {str(error).strip()} in {MAPPING}", right) from error
    base = values.pop("base", None)
    if base is not None and not isinstance(base, str):
        raise SettingsError(f"base in {MAPPING} is {base!r}", "base: the path of one YAML file, or recipe:NAME")
    return [*(file_layers(Path(base), ()) if base else []), Layer(MAPPING, values)]


def file_layers(given: Path, chain: tuple[Path, ...]) -> list[Layer]:
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
            raise SettingsError(f"{path} is not a settings file: it is not read", f"{_other_ending(path)}{right}")
    try:
        values = OmegaConf.to_container(OmegaConf.load(io.StringIO(bounded_text(path))))
    except FileNotFoundError:
        wrong = f"no settings file {path}"
        raise SettingsError(wrong, f"{_other_ending(path)}{recipe_files.hint(path)}", "pannsdist config list") from None
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
    return [*before, Layer(str(given), {str(key): value for key, value in values.items()}, is_file=True)]


def _other_ending(path: Path) -> str:
    """A line that names the settings file of this name with another ending, if there is one."""
    others = (path.with_name(f"{path.stem}{ending}") for ending in ENDINGS if path.stem)
    found = next((other for other in others if other != path and other.is_file()), None)
    return f"there is a file {shown(found)}\n" if found else ""


def parsed(overrides: Sequence[str]) -> dict[str, Any]:
    """Parse `key=value` overrides into nested dictionaries."""
    for item in overrides:
        key = item.partition("=")[0]
        if "=" not in item or item.startswith("-") or key != key.strip():
            right = "write key=value, such as train.epochs=3, without spaces around ="
            raise SettingsError(f"'{shown(item)}' is not a setting", right)
    try:
        values = OmegaConf.to_container(OmegaConf.from_dotlist([_as_text(shown(item)) for item in overrides]))
    except Exception as error:  # PyYAML and OmegaConf raise many kinds
        raise SettingsError(
            f"cannot read {excerpt(' '.join(overrides))}: {excerpt(str(error), 200)}",
            NO_REFERENCE if REFERENCE in "".join(overrides) else "write key=value, quoted where needed",
        ) from error
    return {str(key): value for key, value in values.items()} if isinstance(values, dict) else {}


def _as_text(item: str) -> str:
    """An override whose value starts with `*` in quotes: YAML would take it for an alias, which is none here."""
    key, _, value = item.partition("=")
    return f"{key}={json.dumps(value)}" if value.startswith("*") else item


def _contains(values: Any, path: Sequence[str]) -> bool:
    for name in path:
        if isinstance(values, (DictConfig, ListConfig)) or not isinstance(values, Mapping) or name not in values:
            return False
        values = values[name]
    return True
