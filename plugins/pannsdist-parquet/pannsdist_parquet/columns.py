"""Which column of a table is the sound, the label, and so on, and what types they may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow

from pannsdist.contracts import UserError, shown
from pannsdist_parquet.features import Features, features_of_schema
from pannsdist_parquet.params import ParquetParams
from pannsdist_parquet.sources import TablePath
from pannsdist_parquet.tables import Sounds

__all__ = ["Columns", "columns_of"]

UNDECODED = "a struct of bytes and path, as Audio(decode=False) has it, the bytes of a file, or a path"


@dataclass(frozen=True)
class Columns:
    """The columns of a table by their role; all tables of a dataset have equal ones.

    `names` are the class names of integers, empty for labels that are text. `is_list`: whether a clip has several.
    """

    sounds: Sounds
    by_role: Mapping[str, str]
    names: tuple[str, ...]
    is_list: bool


def columns_of(path: TablePath, schema: Any, beside: Features, params: ParquetParams) -> Columns:
    """The columns of a table. Raises UserError for missing, unclear and unfitting ones."""
    own = features_of_schema(schema)
    audio = _chosen("audio", path, schema, own.audio or beside.audio, params)
    classes = {**beside.classes, **own.classes}
    label = _chosen("label", path, schema, tuple(name for name in classes if name in schema.names), params)
    others = {role: name for role, name in params.columns.items() if role not in ("audio", "label")}
    if "fold" not in others and "fold" in schema.names:
        others["fold"] = "fold"
    if params.group:
        others["group"] = params.group
    for role, name in others.items():
        if schema.names.count(name) != 1:
            key = "group" if role == "group" else f"columns.{role}"
            raise _no_column(path, schema, name, key)
    names, is_list = _labels(path, label, schema.field(label).type, params.names or classes.get(label, ()))
    return Columns(_sounds(path, audio, schema.field(audio).type), {**others, "label": label}, names, is_list)


def _chosen(role: str, path: TablePath, schema: Any, candidates: Sequence[str], params: ParquetParams) -> str:
    """The column of a role: of the params, of the features, or of the name."""
    key = f"columns.{role}"
    if role in params.columns:
        if schema.names.count(params.columns[role]) != 1:
            raise _no_column(path, schema, params.columns[role], key)
        return params.columns[role]
    named = [name for name in (role, f"{role}s") if name in schema.names]
    found = [name for name in candidates if name in schema.names] or named
    if len(found) > 1:
        found = [name for name in found if name in named] if len(named) == 1 else found
    if len(found) == 1 and schema.names.count(found[0]) == 1:
        return found[0]
    if not found:
        raise _no_column(path, schema, role, key)
    right = f"name the one: {', '.join(map(shown, found))}"
    raise UserError(f"{shown(path)}: several columns may be the {role}", right, f"data.params.{key}={found[0]}")


def _no_column(path: TablePath, schema: Any, name: str, key: str) -> UserError:
    columns = ", ".join(map(shown, schema.names[:30]))
    count = schema.names.count(name)
    wrong = f"{shown(path)}: {'no column' if not count else f'{count} columns'} {name!r}"
    return UserError(wrong, f"columns found: {columns}; if it has another name: data.params.{key}=NAME")


def _sounds(path: TablePath, name: str, kind: Any) -> Sounds:
    """Raises UserError for a column that holds no sound files."""
    types = pyarrow.types
    if _is_binary(kind):
        return Sounds(name, False, True, False)
    if _is_text(kind):
        return Sounds(name, False, False, True)
    if types.is_struct(kind):
        fields = {kind.field(number).name: kind.field(number).type for number in range(kind.num_fields)}
        has_bytes, has_path = "bytes" in fields, "path" in fields
        fits = (not has_bytes or _is_binary(fields["bytes"])) and (not has_path or _is_text(fields["path"]))
        if fits and (has_bytes or has_path):
            return Sounds(name, True, has_bytes, has_path)
    wrong = f"{shown(path)}: column {name!r} is {_type_name(kind)}, which holds no sound files"
    raise UserError(wrong, f"it is {UNDECODED}\nanother column: data.params.columns.audio=NAME")


def _labels(path: TablePath, name: str, kind: Any, names: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """(class names of integers, whether it is a list). Raises UserError for a type that is no label."""
    types = pyarrow.types
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    value = kind.value_type if is_list else kind
    value = value.value_type if types.is_dictionary(value) else value
    if _is_text(value):
        return (), is_list
    if types.is_integer(value):
        if not names:
            wrong = f"{shown(path)}: column {name!r} has numbers of classes, and nothing says their names"
            right = "data.params.names lists them in order; or take a column of text: data.params.columns.label=NAME"
            raise UserError(wrong, right)
        return tuple(names), is_list
    wrong = f"{shown(path)}: column {name!r} is {_type_name(kind)}, which is no label"
    raise UserError(wrong, "labels are text, integers, or lists of these; data.params.columns.label=NAME takes another")


def _is_binary(kind: Any) -> bool:
    return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))


def _is_text(kind: Any) -> bool:
    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind))


def _type_name(kind: Any) -> str:
    return shown(str(kind))[:200]
