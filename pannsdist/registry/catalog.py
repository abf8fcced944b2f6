"""Plugin discovery through entry points of installed distributions. A plugin is imported only when it is used."""

from __future__ import annotations

import configparser
import importlib.metadata
import inspect
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

import entrypoints

from pannsdist import contracts
from pannsdist.registry.own_distributions import distribution_of
from pannsdist.runtime.errors import AmbiguousPlugin, BrokenPlugin, UnknownPlugin, candidates_line, shell_command
from pannsdist.runtime.foreign import OF_THIS_PROCESS

LIST_COMMAND = "pannsdist plugins list"

_REQUIRED = {
    "model": ("feature", "feature_params", "front_end", "weights", "head", "accepts", "minimum_samples", "build"),
    "dataset": ("clips",),
    "feature": ("build",),
    "augmentation": ("__call__",),
    "metric": ("higher_is_better", "applies", "__call__"),
    "optimizer": ("build",),
    "schedule": ("lr_factor",),
    "tracker": ("look", "open"),
}
"""Required class members by kind; attributes of built datasets and features are checked after building."""

_NO_PLUGINS = {
    "metric": "the metrics of pannsdist itself",
    "optimizer": "the classes of paddle.optimizer",
    "schedule": "the built-in shapes of schedule.name",
}
"""Built-in names that are not plugins, for the error message of an unknown name."""


@dataclass(frozen=True)
class Origin:
    """The distribution that provides a plugin."""

    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True)
class Entry:
    """An entry point that is not imported yet. `target` is `module:attribute`."""

    kind: str
    name: str
    origin: Origin
    target: str

    @property
    def qualified_name(self) -> str:
        """`distribution:name`, which is unambiguous if several distributions provide the same name."""
        return f"{self.origin.distribution}:{self.name}"

    def load(self) -> type[Any]:
        """Import the plugin class. Raises BrokenPlugin if it cannot be imported or does not implement the contract."""
        wrong = f"{self.kind} plugin '{self.name}' of {self.origin} is broken"
        right = f"fix or uninstall {self.origin.distribution}; it names {self.target}"
        try:
            plugin = entrypoints.EntryPoint.from_string(self.target, self.name).load()
        except entrypoints.BadEntryPoint as error:
            raise BrokenPlugin(f"{wrong}: {error}", right, LIST_COMMAND) from error
        except OF_THIS_PROCESS:
            raise
        except BaseException as error:
            raise BrokenPlugin(f"{wrong}: {type(error).__name__}: {error}", right, LIST_COMMAND) from error
        if not inspect.isclass(plugin):
            raise BrokenPlugin(f"{wrong}: {self.target} is not a class", right, LIST_COMMAND)
        if not is_dataclass(getattr(plugin, "Params", None)):
            raise BrokenPlugin(f"{wrong}: it has no dataclass `Params`", right, LIST_COMMAND)
        missing = [name for name in _REQUIRED[self.kind] if not hasattr(plugin, name)]
        if missing:
            raise BrokenPlugin(f"{wrong}: it lacks {', '.join(missing)}", right, LIST_COMMAND)
        self._check_contract(plugin)
        return plugin

    def _check_contract(self, plugin: type[Any]) -> None:
        """Raise BrokenPlugin if the plugin declares another version of the contract."""
        stated = getattr(plugin, "contract", contracts.VERSION)
        if stated == contracts.VERSION:
            return
        wrong = f"{self.kind} plugin '{self.name}' of {self.origin} was written for contract {stated!r}"
        wrong += f", but this pannsdist has contract {contracts.VERSION}"
        newer = {number: change for number, change in contracts.CHANGES.items() if _is_after(number, stated)}
        if not newer:
            right = f"or install an older {self.origin.distribution}"
            raise BrokenPlugin(wrong, right, "pip install -U pannsdist")
        changes = [f"contract {number} (pannsdist {since}): {what}" for number, (since, what) in newer.items()]
        earlier = f"or install a pannsdist older than {newer[min(newer)][0]}"
        raise BrokenPlugin(
            wrong,
            "\n".join(["what changed:", *changes, earlier]),
            shell_command("pip", "install", "-U", self.origin.distribution),
        )


@dataclass(frozen=True)
class Registry:
    """All installed plugins of one kind, by name; several entries under one name are a conflict."""

    kind: str
    entries: Mapping[str, tuple[Entry, ...]]

    def find(self, name: str, where: str = "") -> Entry:
        """The entry for `name` or `distribution:name`; `where` is the settings key, for error messages.

        Raises UnknownPlugin or AmbiguousPlugin.
        """
        location = f" ({where})" if where else ""
        distribution, _, plain = name.rpartition(":")
        found = self.entries.get(plain, ())
        if distribution:
            found = tuple(entry for entry in found if entry.origin.distribution == distribution)
        if not found:
            self.refuse_missing(name, where)
            line = candidates_line(plain, self.entries, "installed")
            line += f"\n{_NO_PLUGINS[self.kind]} are not plugins" if self.kind in _NO_PLUGINS else ""
            raise UnknownPlugin(f"unknown {self.kind} '{name}'{location}", line, LIST_COMMAND)
        if len(found) > 1:
            origins = " and ".join(str(entry.origin) for entry in found)
            choices = " or ".join(entry.qualified_name for entry in found)
            raise AmbiguousPlugin(
                f"two distributions offer {self.kind} '{name}'{location}: {origins}",
                f"choose one: {choices}; or uninstall one of them",
                LIST_COMMAND,
            )
        return found[0]

    def refuse_missing(self, name: str, where: str = "") -> None:
        """Raise UnknownPlugin with the command that installs it, for a name that a distribution of this project has.

        Called with a name that is not installed; of any other name another error has to say that nobody has it.
        """
        if not (distribution := distribution_of(self.kind, name)):
            return
        wrong = f"{self.kind} '{name}'" + (f" ({where})" if where else "") + " is not installed"
        is_older = any(entry.origin.distribution == distribution for entry in self)
        right = f"a newer {distribution} provides it" if is_older else f"the distribution {distribution} provides it"
        command = shell_command("pip", "install", *(["-U"] if is_older else []), distribution)
        raise UnknownPlugin(wrong, right, command)

    def __iter__(self) -> Iterator[Entry]:
        for name in sorted(self.entries):
            yield from self.entries[name]


@dataclass(frozen=True)
class Catalog:
    """The registries of all kinds, and the problems found while reading the environment."""

    registries: Mapping[str, Registry]
    problems: tuple[str, ...] = ()

    @classmethod
    def installed(cls) -> Catalog:
        """All plugins of the installed distributions; imports none of them."""
        found: dict[str, dict[str, list[Entry]]] = {kind: {} for kind in contracts.GROUPS}
        problems: list[str] = []
        for config, distribution in _declarations(problems):
            for kind, group in contracts.GROUPS.items():
                for name, target in config[group].items() if group in config else ():
                    origin = _origin(distribution)
                    found[kind].setdefault(name, []).append(Entry(kind, name, origin, target))
        registries = {
            kind: Registry(kind, {name: tuple(entries) for name, entries in by_name.items()})
            for kind, by_name in found.items()
        }
        return cls(registries, tuple(problems))

    def __iter__(self) -> Iterator[Entry]:
        for registry in self.registries.values():
            yield from registry

    def registry(self, kind: str) -> Registry:
        """The registry of one kind, such as `model`. Raises UnknownPlugin for an unknown kind."""
        if kind not in self.registries:
            line = candidates_line(kind, self.registries, "kinds")
            raise UnknownPlugin(f"unknown kind of plugin '{kind}'", line, LIST_COMMAND)
        return self.registries[kind]

    @property
    def models(self) -> Registry:
        """Model plugins."""
        return self.registries["model"]

    @property
    def datasets(self) -> Registry:
        """Dataset plugins."""
        return self.registries["dataset"]

    @property
    def features(self) -> Registry:
        """Feature plugins."""
        return self.registries["feature"]

    @property
    def augmentations(self) -> Registry:
        """Waveform augmentation plugins."""
        return self.registries["augmentation"]

    @property
    def metrics(self) -> Registry:
        """Metric plugins, in addition to the built-in metrics."""
        return self.registries["metric"]

    @property
    def optimizers(self) -> Registry:
        """Optimizer plugins, in addition to the classes of paddle.optimizer."""
        return self.registries["optimizer"]

    @property
    def schedules(self) -> Registry:
        """Schedule plugins, in addition to the built-in shapes."""
        return self.registries["schedule"]

    @property
    def trackers(self) -> Registry:
        """Tracker plugins."""
        return self.registries["tracker"]


def _is_after(number: int, stated: object) -> bool:
    return not isinstance(stated, int) or number > stated


def _origin(distribution: Any) -> Origin:
    """Name and version; the version comes from the metadata if the name of an egg-info folder lacks it."""
    name = distribution.name.replace("_", "-")
    version = distribution.version
    if version is None:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = "unknown"
    return Origin(name, version)


def _declarations(problems: list[str]) -> Iterator[tuple[Any, Any]]:
    """(parsed entry_points.txt, distribution) of everything installed.

    entrypoints 0.4 stops at the first malformed file of the environment. In that case each file is read separately and
    malformed ones are listed in `problems`.
    """
    try:
        yield from list(entrypoints.iter_files_distros())
    except (configparser.Error, UnicodeDecodeError):
        yield from _file_by_file(problems)


def _file_by_file(problems: list[str]) -> Iterator[tuple[Any, Any]]:
    seen: set[str] = set()
    for folder in map(Path, sys.path):
        for pattern in ("*.dist-info/entry_points.txt", "*.egg-info/entry_points.txt"):
            for path in sorted(folder.glob(pattern)) if folder.is_dir() else ():
                distribution = entrypoints.Distribution.from_name_version(path.parent.stem)
                if distribution.name in seen:
                    continue
                seen.add(distribution.name)
                config = entrypoints.CaseSensitiveConfigParser(delimiters=("=",))
                try:
                    config.read([path])
                except (configparser.Error, UnicodeDecodeError) as error:
                    reason = str(error).splitlines()[0]
                    problems.append(f"{path}: {reason}")
                    warnings.warn(f"plugins of {distribution.name} are ignored: {path}: {reason}", stacklevel=2)
                    continue
                yield config, distribution
