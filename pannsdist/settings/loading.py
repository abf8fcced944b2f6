"""Loading and validation of settings from YAML files and the command line, through OmegaConf.

Plugin `Params` are validated in the same way as the schema. Unknown keys, wrong types and values out of range are
rejected with the key, where it was set, and what is allowed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from pannsdist.runtime.errors import SettingsError, candidates_line
from pannsdist.runtime.redaction import without_credentials, without_secrets
from pannsdist.settings.plain import NotPlain, nested_items, plain
from pannsdist.settings.schema import Settings
from pannsdist.settings.sources import (
    COMMAND_LINE,
    NO_REFERENCE,
    REFERENCE,
    Layer,
    SettingsOrigin,
    file_layers,
    mapping_layers,
    parsed,
)
from pannsdist.settings.synonyms import SYNONYMS

P = TypeVar("P")


def load_schema(schema: type[P], given: Path, overrides: Sequence[str], show_keys: str) -> tuple[P, SettingsOrigin]:
    """As `load`, of a file with other keys than settings: those of the dataclass `schema`. Raises SettingsError.

    `show_keys` is the command that prints all of them.
    """
    layers = [*file_layers(given, ()), Layer(COMMAND_LINE, parsed(overrides))]
    origin = SettingsOrigin(tuple(layers), show_keys)
    return _fill(schema, _without_replaced_params([layer.values for layer in layers]), origin, prefix=""), origin


def load(
    given: Path | Mapping[str, Any], overrides: Sequence[str] = (), source: str = COMMAND_LINE
) -> tuple[Settings, SettingsOrigin]:
    """Settings merged from `base:` files, the given file or mapping, and `key=value` overrides; later ones win.

    `source` is the name of the overrides in messages. Raises SettingsError for an unreadable file, an unknown key, a
    wrong type or a value out of range.
    """
    layers = mapping_layers(given) if isinstance(given, Mapping) else file_layers(given, ())
    layers.append(Layer(source, parsed(overrides)))
    origin = SettingsOrigin(tuple(layers))
    filled = _fill(Settings, _without_replaced_params([layer.values for layer in layers]), origin, prefix="")
    try:
        plain(filled)
    except NotPlain as error:
        right = "allowed: text, finite numbers, true and false, lists, and sections with text keys"
        raise SettingsError(f"setting {error}", right, origin.command) from error
    return filled, origin


def subset_overrides(limit: int | None, overfit: int | None) -> list[str]:
    """Overrides for the flags `--limit N` and `--overfit N`."""
    limited = [] if limit is None else [f"train.limit_steps={limit}", f"valid.limit_batches={limit}"]
    return limited if overfit is None else [*limited, f"train.overfit_batches={overfit}"]


def fill_params(params_class: type[P], values: Mapping[str, Any], origin: SettingsOrigin, prefix: str) -> P:
    """Validated `Params` of a plugin; `prefix` is the settings key of the values, such as `data.params`."""
    return _fill(params_class, [values], origin, prefix)


def to_dict(settings: Any) -> dict[str, Any]:
    """Settings or params as plain nested dictionaries, as they are saved in run and model folders. Raises NotPlain."""
    tree: dict[str, Any] = plain(settings)
    return tree


def as_written(settings: Settings) -> dict[str, Any]:
    """Settings as `read_yaml` gives them from the file of a run, which holds no credentials."""
    tree = OmegaConf.to_container(OmegaConf.create(without_credentials(to_yaml(settings))))
    return {str(key): value for key, value in tree.items()} if isinstance(tree, dict) else {}


def to_yaml(settings: Settings) -> str:
    """Settings as YAML text with all keys, and without secrets."""
    text: str = OmegaConf.to_yaml(OmegaConf.create(without_secrets(to_dict(settings))), sort_keys=False)
    return text


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the output of `to_yaml` as plain nested dictionaries."""
    return dict(file_layers(path, ())[-1].values)


def file_values(path: Path) -> dict[str, Any]:
    """The values of a file and its bases as they are written, sections merged; nothing is validated."""
    merged = OmegaConf.merge(*(OmegaConf.create(dict(layer.values)) for layer in file_layers(path, ())))
    values = OmegaConf.to_container(merged)
    return {str(key): value for key, value in values.items()} if isinstance(values, dict) else {}


def _without_replaced_params(layers: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The layers without the `params` of plugins that a later layer replaces by another plugin."""
    kept: list[dict[str, Any]] = []
    names: dict[str, Any] = {}
    for values in layers:
        for key, part in values.items():
            name = part.get("name") if isinstance(part, Mapping) else None
            if name is not None and names.setdefault(key, name) != name:
                kept = [_without(earlier, key, "params") for earlier in kept]
                names[key] = name
        kept.append(dict(values))
    return list(kept)


def _without(values: Mapping[str, Any], section: str, key: str) -> dict[str, Any]:
    part = values.get(section)
    if not isinstance(part, Mapping):
        return dict(values)
    return {**values, section: {name: value for name, value in part.items() if name != key}}


def _fill(schema: type[P], layers: Sequence[Mapping[str, Any]], origin: SettingsOrigin, prefix: str) -> P:
    """Merge the layers into an instance of the schema, later layers taking precedence."""
    for values in layers:
        _check_keys(schema, values, origin, prefix)
        for key, text in _texts(values, prefix):
            if REFERENCE in text:
                raise SettingsError(f"{origin.where(key)} is {text!r}", NO_REFERENCE, origin.command)
    try:
        config = OmegaConf.merge(OmegaConf.structured(schema), *layers)
        OmegaConf.resolve(config)
        filled: P = OmegaConf.to_object(config)  # type: ignore[assignment]
    except MissingMandatoryValue as error:
        key = _key(prefix, error)
        raise SettingsError(f"{key} is not set", f"give it in the file or as {key}=VALUE", origin.command) from error
    except OmegaConfBaseException as error:
        key = _key(prefix, error)
        reason = str(error).splitlines()[0]
        right = f"{key}: {_type_name(schema, error.full_key or '')}"
        if reason.endswith("'None' for field of type 'str'"):
            right += f"; the empty text is '{key}=\"\"' on the command line, {key.rpartition('.')[2]}: '' in a file"
        raise SettingsError(f"{origin.where(key)}: {reason}", right, origin.command) from error
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"{origin.where(prefix)}: {error}", "see: pannsdist plugins show", origin.command
        ) from error
    for key, kind in nested_items(filled, prefix):
        right = f"each item is a value of type {kind}"
        raise SettingsError(f"{origin.where(key)} has a list or a section as an item", right, origin.command)
    _check_ranges(filled, origin, prefix)
    return filled


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """The texts in settings, each with its key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner, key)


def _key(prefix: str, error: OmegaConfBaseException) -> str:
    return ".".join(part for part in (prefix, error.full_key or "") if part)


def _sections(schema: type[Any]) -> dict[str, type[Any]]:
    """The fields whose types are dataclasses."""
    made = {item.name: item.default_factory for item in dataclasses.fields(schema)}
    return {name: made[name] for name in made if isinstance(made[name], type) and dataclasses.is_dataclass(made[name])}  # type: ignore[misc]


def _check_keys(schema: type[Any], values: Mapping[str, Any], origin: SettingsOrigin, prefix: str) -> None:
    names = [item.name for item in dataclasses.fields(schema)]
    sections = _sections(schema)
    for name, value in values.items():
        key = f"{prefix}.{name}" if prefix else str(name)
        if name not in names:
            right = candidates_line(str(name), names, f"keys of {prefix}" if prefix else "keys")
            pointer = SYNONYMS.get(str(name).lower()) if schema.__module__ == Settings.__module__ else None
            if pointer and pointer.rpartition(".")[0] != prefix:
                right = f"it is {pointer} here\n{right}"
            elif pointer:
                right = f"closest: {pointer.rpartition('.')[2]}.  {right.partition('.  ')[2] or right}"
            raise SettingsError(f"unknown key {origin.where(key)}", right, origin.command)
        if name in sections:
            if not isinstance(value, Mapping):
                right = f"write {key}.KEY=VALUE, or an indented block under {key}:"
                raise SettingsError(f"{origin.where(key)} is {value!r}, but it is a section", right, origin.command)
            _check_keys(sections[name], value, origin, key)


def _check_ranges(filled: Any, origin: SettingsOrigin, prefix: str) -> None:
    for item in dataclasses.fields(filled):
        key = f"{prefix}.{item.name}" if prefix else item.name
        value = getattr(filled, item.name)
        if dataclasses.is_dataclass(value):
            _check_ranges(value, origin, key)
        elif value is not None and not _within(value, item.metadata):
            right = f"allowed: {allowed_range(item.metadata)}"
            raise SettingsError(f"{origin.where(key)} is {value}", right, origin.command)


def _within(value: Any, limits: Mapping[str, Any]) -> bool:
    if "choices" in limits and (isinstance(value, str) or not limits.keys() & {"low", "high", "above"}):
        return value in limits["choices"]
    if isinstance(value, float) and not math.isfinite(value):
        return False
    low, high, above = limits.get("low"), limits.get("high"), limits.get("above")
    return (low is None or value >= low) and (high is None or value <= high) and (above is None or value > above)


def allowed_range(limits: Mapping[str, Any]) -> str:
    """Limits of a setting as text, such as `one of a, b`, `0 to 1` or `above 0`."""
    if "choices" in limits:
        rest = {name: limit for name, limit in limits.items() if name in ("low", "high", "above")}
        return (
            f"{', '.join(limits['choices'])} or {allowed_range(rest)}"
            if rest
            else f"one of {', '.join(limits['choices'])}"
        )
    if "low" in limits:
        return f"{limits['low']} to {limits['high']}" if "high" in limits else f"{limits['low']} or more"
    if "above" in limits:
        return f"above {limits['above']}" + (f", up to {limits['high']}" if "high" in limits else "")
    return f"up to {limits['high']}" if "high" in limits else "a finite number"


def _type_name(schema: type[Any], dotted: str) -> str:
    """Declared type of a key, for an error message."""
    name, _, rest = dotted.partition(".")
    sections = _sections(schema)
    if rest and name in sections:
        return _type_name(sections[name], rest)
    items = {item.name: item for item in dataclasses.fields(schema)}
    found = items.get(name.partition("[")[0])
    if found is not None and {"choices", "low"} <= found.metadata.keys():
        return allowed_range(found.metadata)
    declared = found.type if found is not None else "see the documentation"
    return f"a value of type {declared if isinstance(declared, str) else getattr(declared, '__name__', declared)}"
