"""The rows of all tables as records: paths, labels, ids and whatever else `columns` names, without any sound."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from pannsdist.contracts import EncodedSource, UserError, shown
from pannsdist.contracts.file_lookup import FileLookup, is_file, leads_out
from pannsdist.contracts.split_names import how_to_name, split_named
from pannsdist_parquet.columns import Columns, columns_of
from pannsdist_parquet.layout import Found, TableFile
from pannsdist_parquet.params import ParquetParams
from pannsdist_parquet.tables import open_table

__all__ = ["Row", "rows_of"]


@dataclass(frozen=True, slots=True)
class Row:
    """One clip as its table has it; `number` counts from 0, `split` is empty where nothing says it."""

    file: TableFile
    number: int
    source: Path | EncodedSource
    id: str
    labels: tuple[str, ...]
    split: str = ""
    fold: int = 0
    group: str = ""
    start_s: float = 0.0
    duration_s: float | None = None

    @property
    def place(self) -> str:
        """How a message names it."""
        return f"{shown(self.file.path)}: row {self.number}"


def rows_of(found: Found, params: ParquetParams) -> tuple[list[Row], Columns]:
    """The rows of the splits that are used, in the order of the tables. Raises UserError."""
    rows: list[Row] = []
    first: Columns | None = None
    for file in found.files:
        if params.splits and "split" not in params.columns and not _split(file.called, params):
            continue
        with open_table(file.path) as table:
            columns = columns_of(file.path, table.schema, found.features, params)
            first = first or columns
            if columns != first:
                wrong = f"{shown(file.path)} has other columns or class names than {shown(found.files[0].path)}"
                raise UserError(wrong, "all tables of a dataset are alike; data.params.config chooses a subset")
            rows += _Reader(found.root, file, columns, params).rows(table)
    if not rows or first is None:
        named = ", ".join(dict.fromkeys(shown(file.called) for file in found.files))
        raise UserError(f"the tables below {shown(found.root)} have no rows that are used", f"splits found: {named}")
    return rows, first


class _Reader:
    """Makes records of the rows of one table. Every method raises UserError that names the row."""

    def __init__(self, root: object, file: TableFile, columns: Columns, params: ParquetParams) -> None:
        self._root, self._file, self._columns, self._params = root, file, columns, params
        self._folder = file.path.parent if isinstance(file.path, Path) else None
        self._lookup = FileLookup(self._folder or Path())
        self._known: dict[str | int, tuple[str, ...]] = {}

    def rows(self, table: Any) -> Iterator[Row]:
        """The rows that are used."""
        roles = {role: table.values(name) for role, name in self._columns.by_role.items()}
        paths = table.paths(self._columns.sounds)
        sources = table.sources(self._columns.sounds, [_file_name(path) for path in paths])
        split_of_all = self._split(0, {}) if table.rows and "split" not in roles else ""
        for number in range(table.rows):
            values = {role: column[number] for role, column in roles.items()}
            split = self._split(number, values) if "split" in roles else split_of_all
            if split is None:
                continue
            yield Row(
                self._file,
                number,
                sources[number] or self._sound_file(number, paths[number]),
                self._id(number, values, paths[number]),
                self._labels(number, values["label"]),
                split,
                self._fold(number, values, split),
                self._text(number, "group", values["group"]) if "group" in values else "",
                self._seconds(number, "start", values) or 0.0,
                self._seconds(number, "duration", values),
            )

    def _refuse(self, number: int, wrong: str, right: str = "") -> NoReturn:
        raise UserError(f"{shown(self._file.path)}: row {number}: {wrong}", right)

    def _split(self, number: int, values: dict[str, Any]) -> str | None:
        """The split; empty where nothing says one, None for a row that is not used."""
        named = self._text(number, "split", values["split"]) if "split" in values else self._file.part
        if not named and not self._params.splits:
            return ""
        named = named or self._file.called
        split = _split(named, self._params)
        if not split and not self._params.splits:
            right = f"{how_to_name(named)}\nor name it: data.params.splits.train=NAME, data.params.splits.valid=NAME"
            self._refuse(number, f"its split is called {shown(named)!r}", right)
        return split or None

    def _sound_file(self, number: int, path: str | None) -> Path:
        """The file that a row names instead of holding its bytes."""
        column = self._columns.sounds.column
        if not path:
            self._refuse(number, f"{column} is null", "every clip needs a sound: leave the row out of the table")
        folder, pure = self._folder, PurePosixPath(path)
        if folder is None or not isinstance(self._root, Path):
            right = "tables of a store hold their sounds; download those that name files"
            self._refuse(number, f"{column} has no bytes, but the path {shown(path)!r}", right)
        if pure.is_absolute() or ".." in pure.parts or "\0" in path or leads_out(folder / path, self._root):
            right = f"paths are relative to {shown(folder)}, and stay below {shown(self._root)}"
            self._refuse(number, f"{column} has no bytes, and its path {shown(path)!r} is outside of the folder", right)
        found = self._lookup.find(path)
        if found is None or not is_file(found) or leads_out(found, self._root):
            right = self._lookup.hint(path) or f"paths are relative to {shown(folder)}"
            self._refuse(number, f"{column} has no bytes, and there is no file {shown(path)!r}", right)
        return found

    def _id(self, number: int, values: dict[str, Any], path: str | None) -> str:
        if "id" in values:
            return self._text(number, "id", values["id"])
        if path and self._params.ids == "path":
            return shown(path)
        return f"{self._file.name}#{number}"

    def _text(self, number: int, role: str, value: object) -> str:
        text = shown(str(value).strip()) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if not text:
            self._refuse(number, f"its {role} is {value!r}", "it is text or an integer")
        return text

    def _labels(self, number: int, value: Any) -> tuple[str, ...]:
        columns = self._columns
        if value is None:
            self._refuse(
                number, f"{columns.by_role['label']} is null", "every clip needs a label; [] has none of a list"
            )
        if columns.is_list:
            return tuple(dict.fromkeys(self._label(number, one) for one in value))
        if value not in self._known:
            self._known[value] = (self._label(number, value),)
        return self._known[value]

    def _label(self, number: int, value: Any) -> str:
        names, column = self._columns.names, self._columns.by_role["label"]
        if not names:
            text = shown(value.strip()) if isinstance(value, str) else ""
            return text or self._refuse(number, f"{column} is {value!r}", "a label is text")
        if value is None or not 0 <= value < len(names):
            right = f"{len(names)} names are known, so it is 0 to {len(names) - 1}"
            if value == -1:
                right += "; -1 stands for clips without labels: leave the split out, as data.params.splits.train=train"
            self._refuse(number, f"{column} is {value!r}", right)
        return str(names[value])

    def _fold(self, number: int, values: dict[str, Any], split: str) -> int:
        if "fold" not in values or split == "test":
            return 0
        text = str(values["fold"])
        if not re.fullmatch("0*[1-9][0-9]{0,8}", text):
            if not self._params.valid_fold and "fold" not in self._params.columns:
                return 0
            self._refuse(number, f"its fold is {values['fold']!r}", "it is an integer, counted from 1")
        return int(text)

    def _seconds(self, number: int, role: str, values: dict[str, Any]) -> float | None:
        value = values.get(role)
        if value is None:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or value < 0 or (role == "duration" and not value):
            right = "it is a number of seconds, above 0" if role == "duration" else "it is a number of seconds"
            self._refuse(number, f"its {role} is {value!r}", right)
        return float(value)


def _split(named: str, params: ParquetParams) -> str:
    """The split that a name stands for by data.params.splits, or by itself or one of its words; empty for none."""
    if params.splits:
        named_so = [split for split, names in params.splits.items() if named in names.split("+")]
        return named_so[0] if named_so else ""
    if split := split_named(named):
        return split
    words = {split_named(word) for word in re.split(r"[-._ 0-9]+", named)} - {""}
    return words.pop() if len(words) == 1 else ""


def _file_name(path: str | None) -> str:
    return path.replace("\\", "/").rpartition("/")[2] if path else ""
