"""Table readers for dataset plugins: CSV, JSON lines, plain lists and globs as rows with file and line."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pannsdist.contracts.sound_files import is_hidden
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.names import shown
from pannsdist.runtime.texts import lines_of, read_text

__all__ = [
    "TABLE_ENDINGS",
    "Row",
    "csv_rows",
    "file_rows",
    "json_rows",
    "line_rows",
    "lines_of",
    "read_text",
    "rows_by",
    "table_rows",
]

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
JSON_ENDINGS = (".jsonl", ".json")
TABLE_ENDINGS = (".csv", ".tsv", ".txt", *JSON_ENDINGS)
"""Of the files that `table_rows` reads. The ending of a text says nothing of its separator: its header does."""


@dataclass(frozen=True)
class Row:
    """One row of a table: `cells` are text, or any JSON value; errors name file and line.

    `line` is 0 if the row stands for the file itself.
    """

    file: Path
    line: int
    cells: Mapping[str, Any]

    @property
    def place(self) -> str:
        """`FILE:LINE`, or `FILE`."""
        return f"{self.file}:{self.line}" if self.line else str(self.file)

    def refuse(self, wrong: str, right: str = "") -> NoReturn:
        """Raise UserError with the file and line of the row."""
        raise UserError(f"{self.place}: {wrong}", right)

    def renamed(self, columns: Mapping[str, str], hidden: Sequence[str] = ()) -> Row:
        """The row with new names for columns, given as {new: name in the table}.

        A column that has a new name, or one of `hidden`, by itself is left out. Raises UserError for a missing one.
        """
        for name in columns.values():
            if name not in self.cells:
                self.refuse(f"no column {name!r}", f"columns found: {', '.join(self.cells)}")
        left_out = {*columns, *columns.values(), *hidden}
        kept = {name: value for name, value in self.cells.items() if name not in left_out}
        return Row(self.file, self.line, {**kept, **{new: self.cells[name] for new, name in columns.items()}})

    def text(self, column: str) -> str:
        """The value of a column as stripped text; empty if missing."""
        value = self.cells.get(column)
        return "" if value is None else str(value).strip()

    def required(self, column: str) -> str:
        """The value of a column. Raises UserError if it is empty."""
        return self.text(column) or self.refuse(f"{column} is empty", "every row needs it")

    def file_name(self, column: str) -> str:
        """A file name without folders. Raises UserError for a path."""
        name = self.required(column)
        if name in (".", "..") or set(name) & set("/\\:\0"):
            self.refuse(f"{column} is {name!r}", "it is the name of a file, without folders")
        return name

    def choice(self, column: str, allowed: Sequence[str]) -> str:
        """The value of a column. Raises UserError if it is not in `allowed`."""
        value = self.text(column)
        return value if value in allowed else self.refuse(f"{column} is {value!r}", f"allowed: {', '.join(allowed)}")

    def matched(self, column: str, pattern: str, right: str) -> re.Match[str]:
        """Full match of a regular expression with the value of a column. Raises UserError if it does not match."""
        found = re.fullmatch(pattern, self.text(column))
        return found or self.refuse(f"{column} is {self.text(column)!r}", right)

    def whole(self, column: str, low: int, high: int) -> int:
        """An integer from `low` to `high`. Raises UserError otherwise."""
        digits = self.text(column)
        if not re.fullmatch("[0-9]{1,9}", digits) or not low <= int(digits) <= high:
            self.refuse(f"{column} is {digits!r}", f"it is a whole number from {low} to {high}")
        return int(digits)

    def seconds(self, column: str) -> float | None:
        """Seconds, 0 or more; None if empty. Raises UserError otherwise."""
        if not self.text(column):
            return None
        try:
            number = float(self.text(column))
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < 0:
            self.refuse(
                f"{column} is {self.text(column)!r}", "it is a number of seconds, 0 or more, with a decimal point"
            )
        return number


def table_rows(path: Path, *, key: str = "") -> list[Row]:
    """Rows of a table with an ending of `TABLE_ENDINGS`: JSON lines, or text with a header line."""
    return (json_rows if path.suffix.lower() in JSON_ENDINGS else csv_rows)(path, key=key)


def csv_rows(path: Path, columns: Sequence[str] = (), *, key: str = "", header: Sequence[str] = ()) -> list[Row]:
    """Rows of a table with a header line; blank lines are skipped, all line endings are supported.

    Values are separated by what separates the names in the header: commas, semicolons (as spreadsheets write where the
    comma is the decimal sign) or tabs; a line such as `sep=;` before the header, of Excel, says it too. A value that
    has the separator in it is in quotes. `columns` are required. `header` names the columns of a file without a header
    line, with commas, in which lines that start with `#` are comments. Raises UserError, with file and line, for a
    header with two separators, a missing or duplicate column, or a wrong column count.
    """
    text = read_text(path, key)
    dialect = Dialect(",") if header else _dialect(path, text)
    file = io.StringIO(text, newline="")
    reader = csv.reader(file, strict=True, delimiter=dialect.separator, skipinitialspace=bool(header))
    names = list(header)
    rows: list[Row] = []
    try:
        for cells in reader:
            is_left_out = reader.line_num <= dialect.first_line or (header and cells and cells[0].startswith("#"))
            if is_left_out or not any(cell.strip() for cell in cells):
                continue
            row = Row(path, reader.line_num, dict(zip(names, cells, strict=False)))
            if not names:
                names = _checked_header(row, [cell.strip() for cell in cells], columns)
            elif len(cells) != len(names):
                right = f"{dialect}; quote a value that has one in it"
                row.refuse(f"{len(cells)} values for {len(names)} columns", right)
            else:
                rows.append(row)
    except csv.Error as error:
        right = f"{dialect}; a value with quotes in it is quoted as a whole, and they are doubled"
        raise UserError(f"{path}:{reader.line_num}: not CSV: {error}", right) from error
    return rows


@dataclass(frozen=True)
class Dialect:
    """What separates the values of a table, and the last line before its header."""

    separator: str
    first_line: int = 0

    def __str__(self) -> str:
        return f"values are separated by {SEPARATORS[self.separator]}"


def _dialect(path: Path, text: str) -> Dialect:
    """The separator of the names in the header line. Raises UserError if it has two."""
    lines = ((number, line) for number, line in enumerate(lines_of(text), start=1) if line.strip())
    number, line = next(lines, (0, ""))
    declared = re.fullmatch('"?sep=([,;\t])"?', line.rstrip(" "), re.IGNORECASE)
    if declared:
        return Dialect(declared[1], number)
    found = [mark for mark in SEPARATORS if mark in re.sub('"[^"]*"', "", line)]
    if len(found) > 1:
        wrong = (
            f"the header has {' and '.join(SEPARATORS[mark] for mark in found)}, so what separates values is unclear"
        )
        raise UserError(f"{path}:{number}: {wrong}", "separate all by one of them, and quote a name that has another")
    return Dialect(found[0] if found else ",")


def json_rows(path: Path, *, key: str = "") -> list[Row]:
    """Rows of a JSON lines file, one object per line."""
    return list(_json_rows(path, read_text(path, key)))


def line_rows(path: Path, *, key: str = "") -> list[Row]:
    """Non-blank lines of a text file, as rows with the column `path`."""
    lines = enumerate(lines_of(read_text(path, key)), start=1)
    return [Row(path, number, {"path": line.strip()}) for number, line in lines if line.strip()]


def file_rows(root: Path, pattern: str) -> list[Row]:
    """Files below `root` that match a glob pattern, sorted, as rows with the relative posix `path`.

    The ending may be in upper or lower case. Hidden files and folders are left out, as everywhere (`is_hidden`).
    """
    before, dot, ending = pattern.rpartition(".")
    in_any_case = "".join(f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else letter for letter in ending)
    relative = sorted((path.relative_to(root), path) for path in root.glob(f"{before}{dot}{in_any_case}"))
    visible = [(name, path) for name, path in relative if not any(map(is_hidden, name.parts))]
    return [Row(path, 0, {"path": shown(name.as_posix())}) for name, path in visible]


def rows_by(column: str, rows: Iterable[Row]) -> dict[str, Row]:
    """Rows by the value of a column, in order. Raises UserError for duplicate values."""
    found: dict[str, Row] = {}
    for row in rows:
        first = found.setdefault(row.required(column), row)
        if first is not row:
            row.refuse(f"{column} {row.text(column)!r} stands at {first.place} already", "remove one row")
    return found


def _json_rows(path: Path, text: str) -> Iterator[Row]:
    for line, content in enumerate(lines_of(text), start=1):
        if not content.strip():
            continue
        try:
            cells = json.loads(content)
            if not isinstance(cells, dict):
                raise ValueError("not an object")
        except (ValueError, RecursionError) as error:
            right = 'write one object on each line: {"path": ..., "label": ...}'
            raise UserError(f"{path}:{line}: not a JSON object: {error}", right) from error
        yield Row(path, line, cells)


def _checked_header(row: Row, header: list[str], columns: Sequence[str]) -> list[str]:
    if len(set(header)) < len(header):
        row.refuse(f"a column stands twice in the header: {', '.join(header)}", "rename one")
    missing = [name for name in columns if name not in header]
    if missing:
        row.refuse(f"no column {', '.join(missing)}", f"columns found: {', '.join(header)}")
    return header
