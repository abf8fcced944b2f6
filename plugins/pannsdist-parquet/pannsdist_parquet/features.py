"""What Hugging Face `datasets` says about columns: in the metadata of a table, dataset_info.json, or README.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pannsdist.contracts import UserError, shown
from pannsdist.contracts.tables import read_text

__all__ = [
    "Features",
    "card_of",
    "card_of_text",
    "features_of_card",
    "features_of_json",
    "features_of_schema",
    "json_of",
]

METADATA = b"huggingface"
LISTS = ("Sequence", "List", "LargeList")


@dataclass(frozen=True)
class Features:
    """The columns of sounds, and the class names of columns of integers or of lists of integers."""

    audio: tuple[str, ...] = ()
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def features_of_schema(schema: Any) -> Features:
    """The features in the metadata of an Arrow schema; none where it has none that can be understood."""
    text = (schema.metadata or {}).get(METADATA, b"{}")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return Features()
    info = content.get("info") if isinstance(content, dict) else None
    return features_of_json(info.get("features") if isinstance(info, dict) else None)


def features_of_json(features: object) -> Features:
    """The features as `datasets` writes them in JSON: a dictionary of records with `_type`."""
    if not isinstance(features, dict):
        return Features()
    kinds = {name: _of_list(feature) for name, feature in features.items()}
    audio = tuple(name for name, kind in kinds.items() if isinstance(kind, dict) and kind.get("_type") == "Audio")
    classes = {
        name: _names(kind.get("names"))
        for name, kind in kinds.items()
        if isinstance(kind, dict) and kind.get("_type") == "ClassLabel"
    }
    return Features(audio, {name: names for name, names in classes.items() if names})


def features_of_card(features: object) -> Features:
    """The features as README.md has them in YAML: a list of columns with `dtype`, `sequence` or `list`."""
    audio: list[str] = []
    classes: dict[str, tuple[str, ...]] = {}
    for one in features if isinstance(features, list) else ():
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            continue
        kind = one.get("dtype", one.get("sequence", one.get("list")))
        if kind == "audio" or (isinstance(kind, dict) and "audio" in kind) or "audio" in one:
            audio.append(one["name"])
        label = kind.get("class_label") if isinstance(kind, dict) else None
        if isinstance(label, dict) and (names := _names(label.get("names"))):
            classes[one["name"]] = names
    return Features(tuple(audio), classes)


def card_of(root: Path) -> Mapping[str, Any]:
    """The YAML at the head of README.md; empty where there is none. Raises UserError for YAML that cannot be read."""
    path = root / "README.md"
    return card_of_text(path.read_bytes(), path) if path.is_file() else {}


def card_of_text(content: bytes, path: object) -> Mapping[str, Any]:
    """The YAML at the head of a README.md, which messages call `path`. Raises UserError as `card_of`."""
    lines = content.decode(errors="replace").removeprefix("\ufeff").splitlines()
    if not lines or lines[0].strip() != "---":
        return {}
    end = next((number for number, line in enumerate(lines[1:], start=1) if line.strip() == "---"), 0)
    try:
        content = yaml.safe_load("\n".join(lines[1:end]))
    except (yaml.YAMLError, RecursionError) as error:
        wrong = f"{shown(path)}: the YAML at its head cannot be read: {str(error).splitlines()[0]}"
        raise UserError(
            wrong, "repair it, or take README.md away; then data.params say what the columns are"
        ) from error
    return content if isinstance(content, dict) else {}


def json_of(path: Path) -> Mapping[str, Any]:
    """A file of save_to_disk. Raises UserError for one that is no JSON object."""
    try:
        content = json.loads(read_text(path, "data.params.root"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{shown(path)} is no JSON: {error}", "copy the folder of save_to_disk again") from error
    if not isinstance(content, dict):
        raise UserError(f"{shown(path)} is no JSON object", "copy the folder of save_to_disk again")
    return content


def _of_list(feature: object) -> object:
    """What a list is of; the feature itself where it is no list."""
    if isinstance(feature, list) and len(feature) == 1:
        return feature[0]
    if isinstance(feature, dict) and feature.get("_type") in LISTS:
        return feature.get("feature")
    return feature


def _names(names: object) -> tuple[str, ...]:
    """Class names: a list, or a dictionary from numbers to names as YAML has them; empty if they are no names."""
    if isinstance(names, dict):
        try:
            numbered = {int(number): name for number, name in names.items()}
        except (TypeError, ValueError):
            return ()
        names = [numbered.get(number) for number in range(len(numbered))]
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        return ()
    return tuple(shown(name) for name in names)
