"""Plugins named by the settings become objects with checked params: one way for all kinds."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist import settings as settings_module
from pannsdist.contracts.sound_files import Skipped
from pannsdist.registry.catalog import LIST_COMMAND, Catalog, Entry, Registry
from pannsdist.runtime.errors import (
    AmbiguousPlugin,
    BrokenPlugin,
    SettingsError,
    UserError,
    candidates_line,
    shell_command,
)
from pannsdist.runtime.foreign import OF_THIS_PROCESS
from pannsdist.runtime.redaction import without_secrets
from pannsdist.settings import SettingsOrigin


@dataclass(frozen=True)
class Part:
    """A chosen plugin: its entry point, its params, and the plugin object."""

    entry: Entry
    params: Any
    plugin: Any

    def __str__(self) -> str:
        return f"{self.entry.name} ({self.entry.origin})"

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The files that the plugin's search for sounds left out."""
        return tuple(getattr(self.plugin, "skipped", ()))


@dataclass(frozen=True)
class Builtin:
    """Names of a kind that need no plugin, and the place that defines them, for messages.

    `check` is called with name and params of a chosen one, and raises SettingsError for invalid params.
    """

    names: Collection[str]
    place: str
    check: Callable[[str, Mapping[str, Any]], object]


@dataclass(frozen=True)
class PluginRequest:
    """A plugin to build: `name` of `kind`, with `params` from the settings.

    `key` identifies it in the result, `named_by` is where its name was set, `params_key` the settings key of its
    params. `optional_params` are set only where the plugin's `Params` declare them. A `builtin` name needs no plugin.
    A feature without a name is the one that the model was made for.
    """

    kind: str
    name: str
    params: Mapping[str, Any]
    key: str
    named_by: str
    params_key: str
    optional_params: Mapping[str, Any] = field(default_factory=dict)
    builtin: Builtin | None = None

    def of_model(self, model: Part) -> PluginRequest:
        """The request for the feature that a model was made for, with the model's own params as defaults."""
        params = {**model.plugin.feature_params, **self.params}
        named_by = f"the feature of model '{model.entry.name}'"
        return replace(self, name=model.plugin.feature, params=params, named_by=named_by)


def build_plugins(requests: Iterable[PluginRequest], catalog: Catalog, origin: SettingsOrigin) -> dict[str, Part]:
    """The plugin of each request by its key, in the order of the requests; built-in names are left out.

    The model comes before its feature. Raises UnknownPlugin, AmbiguousPlugin, SettingsError for invalid params, and
    BrokenPlugin for a faulty plugin.
    """
    built: dict[str, Part] = {}
    for request in requests:
        registry = catalog.registries[request.kind]
        if request.builtin and _is_builtin(request, request.builtin, registry, origin):
            request.builtin.check(request.name, request.params)
            continue
        named = request.of_model(built["model"]) if request.kind == "feature" and not request.name else request
        entry = registry.find(named.name, named.named_by)
        params = {**_declared(entry, named.optional_params), **named.params}
        built[named.key] = build_plugin(entry, params, origin, named.params_key)
    return built


def build_plugin(entry: Entry, params: Mapping[str, Any], origin: SettingsOrigin, prefix: str) -> Part:
    """A plugin with its params checked. Raises BrokenPlugin where it fails with anything but a UserError.

    Also for params that a model folder could not hold, which would end a run at its first best epoch.
    """
    plugin_class = entry.load()
    filled = settings_module.fill_params(plugin_class.Params, params, origin, prefix)
    try:
        settings_module.to_dict(filled)
    except settings_module.NotPlain as error:
        right = "params are text, finite numbers, booleans, paths, enumerations, and lists and dictionaries of them"
        raise broken(entry, f"has a param that cannot be stored: {prefix}.{error}", right) from error
    with blamed(entry, filled):
        return Part(entry, filled, plugin_class(filled))


def _declared(entry: Entry, params: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `params` that the plugin's `Params` declare."""
    if not params:
        return {}
    names = {item.name for item in fields(entry.load().Params)}
    return {name: value for name, value in params.items() if name in names}


def _is_builtin(request: PluginRequest, builtin: Builtin, registry: Registry, origin: SettingsOrigin) -> bool:
    """Whether the name is built in. Raises UserError for a name that a plugin has too, or that nobody has."""
    kind, name, place = request.kind, request.name, builtin.place
    if ":" in name:
        return False
    is_builtin, entries = name in builtin.names, registry.entries.get(name, ())
    if is_builtin and entries:
        origins = " and ".join(str(entry.origin) for entry in entries)
        others = " or ".join(entry.qualified_name for entry in entries)
        wrong = f"{kind} '{name}' ({request.named_by}) is {place}, and {origins} offers another"
        raise AmbiguousPlugin(wrong, f"for the other: {others}; for the first, uninstall the other", LIST_COMMAND)
    if not is_builtin and not entries:
        registry.refuse_missing(name, request.named_by)
        right = candidates_line(name, {*builtin.names, *registry.entries}, f"{place} and installed")
        raise SettingsError(f"unknown {kind} '{name}' ({request.named_by})", right, origin.command)
    return is_builtin


@contextmanager
def blamed(entry: Entry, params: Any) -> Iterator[None]:
    """Turn whatever a plugin raises but a UserError into a BrokenPlugin that names the plugin's distribution."""
    try:
        yield
    except (UserError, *OF_THIS_PROCESS):
        raise
    except BaseException as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}, line {frame.lineno}"
        right = f"its params were {without_secrets(settings_module.to_dict(params))}"
        raise broken(entry, f"fails: {type(error).__name__}: {error} ({place})", right) from error


def broken(entry: Entry, fault: str, right: str = "it does not keep the contract") -> BrokenPlugin:
    """The exception for a plugin with a fault that is not the user's."""
    wrong = f"{entry.kind} plugin '{entry.name}' of {entry.origin} {fault}"
    return BrokenPlugin(wrong, right, shell_command("pannsdist", "plugins", "check", entry.kind, entry.qualified_name))


def number_of(part: Part, value: Any, what: str) -> float:
    """A plugin's result as a float. Raises BrokenPlugin where it is not a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise broken(part.entry, f"gives a {type(value).__name__} as {what}, where a number is due")
    return float(value)
