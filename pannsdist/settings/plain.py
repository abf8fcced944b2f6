"""Settings and plugin params as plain values, which YAML and JSON can hold and give back."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Set
from enum import Enum
from pathlib import PurePath
from typing import Any, get_args, get_origin, get_type_hints

SCALARS = (str, int, float, bool)


class NotPlain(ValueError):
    """A value that settings files and model folders cannot hold; the message names its key."""


def plain(value: Any, key: str = "") -> Any:
    """The value as dictionaries with text keys, lists, text, finite numbers, booleans and None.

    A path becomes text, an enumeration member its name, a numpy scalar or array Python numbers, a set a sorted list, a
    dataclass a dictionary. Raises NotPlain, with the dotted `key`, for anything else.
    """
    if isinstance(value, (Enum, PurePath)):
        return value.name if isinstance(value, Enum) else str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return _scalar(value, key)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {_name(name, key): plain(one, _joined(key, name)) for name, one in value.items()}
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return plain(value.tolist(), key)
    if isinstance(value, Set):
        return sorted((plain(one, key) for one in value), key=lambda one: (str(type(one)), str(one)))
    if not isinstance(value, (list, tuple)):
        raise NotPlain(f"{key} is a {type(value).__name__}, which a settings file cannot hold")
    return [plain(one, _joined(key, number)) for number, one in enumerate(value)]


def _scalar(value: Any, key: str) -> Any:
    """A value of a plain type; one of a subclass, such as numpy's float64, becomes a float."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotPlain(f"{key} is {value}, which is no finite number")
        return float(value)
    return str(value) if isinstance(value, str) else value


def _name(name: Any, key: str) -> str:
    if isinstance(name, Enum):
        return name.name
    if not isinstance(name, str):
        raise NotPlain(f"{key} has the key {name!r}, a {type(name).__name__}: keys must be text")
    return name


def _joined(key: str, name: Any) -> str:
    return f"{key}.{name}" if key else str(name)


def nested_items(settings: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Key and item type of each list or mapping of scalars that holds another list or mapping: OmegaConf accepts it."""
    for name, declared in get_type_hints(type(settings)).items():
        key, value = _joined(prefix, name), getattr(settings, name, None)
        if dataclasses.is_dataclass(value):
            yield from nested_items(value, key)
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        kinds = [get_args(one)[-1] for one in (declared, *get_args(declared)) if get_origin(one) in (list, dict)]
        if kinds and kinds[0] in SCALARS and any(isinstance(item, (list, dict)) for item in items):
            yield key, kinds[0].__name__


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Plain settings by dotted key. A nested empty section is a value, since `augment.gain: {}` enables a plugin."""
    if not isinstance(tree, Mapping) or (not tree and "." in prefix):
        return {prefix: tree}
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found.update(flat(value, f"{prefix}.{name}" if prefix else str(name)))
    return found
