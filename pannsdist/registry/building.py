"""Names in the settings become built plugins with checked params: one way for all kinds."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist import settings as settings_module
from pannsdist.registry.catalog import Entry, Registry
from pannsdist.runtime.errors import BrokenPlugin, SettingsError, UserError
from pannsdist.settings import SettingsOrigin


@dataclass(frozen=True)
class Part:
    """A chosen plugin: where it comes from, its params, and the plugin itself."""

    entry: Entry
    params: Any
    plugin: Any

    def __str__(self) -> str:
        return f"{self.entry.name} ({self.entry.origin})"


def choose(registry: Registry, chosen: Any, source: SettingsOrigin, section: str) -> Part:
    """The plugin that a section of the settings names, built with its params."""
    entry = registry.find(chosen.name, source.where(f"{section}.name"))
    return build_plugin(entry, chosen.params, source, f"{section}.params")


def build_plugin(entry: Entry, params: Mapping[str, Any], source: SettingsOrigin, prefix: str) -> Part:
    """A plugin with its params checked. Raises BrokenPlugin where it fails in a way that is not the user's."""
    plugin_class = entry.load()
    filled = settings_module.fill_params(plugin_class.Params, params, source, prefix)
    with blamed(entry, filled):
        return Part(entry, filled, plugin_class(filled))


@contextmanager
def blamed(entry: Entry, params: Any) -> Iterator[None]:
    """Within it, whatever is no UserError becomes a BrokenPlugin that names the plugin's distribution."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # a stranger's code may raise anything
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}, line {frame.lineno}"
        raise broken(entry, f"fails: {type(error).__name__}: {error} ({place})", f"its params were {params}") from error


def broken(entry: Entry, fault: str, right: str = "it does not keep the contract") -> BrokenPlugin:
    """What is raised for a plugin with a fault that is not the user's."""
    wrong = f"{entry.kind} plugin '{entry.name}' of {entry.origin} {fault}"
    return BrokenPlugin(wrong, right, f"pannsdist plugins check {entry.kind} {entry.qualified_name}")


def number_of(part: Part, value: Any, what: str) -> float:
    """What a plugin gave, if it is a number. Raises BrokenPlugin otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise broken(part.entry, f"gives a {type(value).__name__} as {what}, where a number is due")
    return float(value)


def choose_each(named: Mapping[str, Any], registry: Registry, source: SettingsOrigin, section: str) -> dict[str, Part]:
    """The plugins that stand in a section under their names, in its order; one that is null is left out."""
    chosen = {}
    for name, params in named.items():
        key = f"{section}.{name}"
        if params is None:
            continue
        if not isinstance(params, Mapping):
            right = f"write {key}.KEY=VALUE, or {key}={{}} for its defaults, or {key}=null to switch it off"
            raise SettingsError(f"{source.where(key)} is {params!r}, but it is a section", right, source.command)
        chosen[str(name)] = build_plugin(registry.find(str(name), source.where(section)), params, source, key)
    return chosen
