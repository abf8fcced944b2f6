"""Table readers for dataset plugins: CSV, JSON lines, plain lists and globs as rows with file and line."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any, Literal

from pannsdist.contracts.locations import Location, Url, leads_out, listing
from pannsdist.contracts.rows import Row, Table
from pannsdist.contracts.sound_files import is_hidden
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.names import shown
from pannsdist.runtime.texts import each_line, lines_of, read_text

__all__ = [
    "TABLE_ENDINGS",
    "Row",
    "Table",
    "csv_rows",
    "csv_text_rows",
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


def table_rows(path: Location, *, key: str = "") -> Table:
    """Rows of a table with an ending of `TABLE_ENDINGS`: JSON lines, or text with a header line."""
    return (json_rows if path.suffix.lower() in JSON_ENDINGS else csv_rows)(path, key=key)


def csv_rows(path: Location, columns: Sequence[str] = (), *, key: str = "", header: Sequence[str] = ()) -> Table:
    """Rows of a table with a header line; blank lines are skipped, all line endings are supported.

    Values are separated by what separates the names in the header: commas, semicolons (as spreadsheets write where the
    comma is the decimal sign) or tabs; a line such as `sep=;` before the header, of Excel, says it too. A value that
    has the separator in it is in quotes. `columns` are required. `header` names the columns of a file without a header
    line, with commas, in which lines that start with `#` are comments. Raises UserError, with file and line, for a
    header with two separators, a missing or duplicate column, or a wrong column count.
    """
    text = read_text(path, key)
    dialect = Dialect(",") if header else _dialect(path, text)
    reader = csv.reader(each_line(text), strict=True, delimiter=dialect.separator, skipinitialspace=bool(header))
    return _table(path, reader, dialect, columns, header)


def csv_text_rows(path: Location, text: str, separator: str, is_quoted: bool = True) -> Table:
    """As `csv_rows`, of the text of a file whose separator is known. Unless `is_quoted`, quotes are characters."""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE
    reader = csv.reader(each_line(text), strict=True, delimiter=separator, quoting=quoting)
    return _table(path, reader, Dialect(separator), (), ())


def _table(path: Location, reader: Any, dialect: Dialect, columns: Sequence[str], header: Sequence[str]) -> Table:
    try:
        return Table.of_rows(path, _csv_rows(path, reader, dialect, columns, header))
    except csv.Error as error:
        right = f"{dialect}; a value with quotes in it is quoted as a whole, and they are doubled"
        raise UserError(f"{path}:{reader.line_num}: not CSV: {error}", right) from error


def _csv_rows(
    path: Location, reader: Any, dialect: Dialect, columns: Sequence[str], header: Sequence[str]
) -> Iterator[tuple[int, tuple[str, ...], list[str]]]:
    """(line, names, values) of each row below the header."""
    names = tuple(header)
    for cells in reader:
        if names and len(cells) == len(names) and cells[0][:1].isalnum():  # neither blank nor a comment
            yield reader.line_num, names, cells
            continue
        is_left_out = reader.line_num <= dialect.first_line or (header and cells and cells[0].startswith("#"))
        if is_left_out or not any(cell.strip() for cell in cells):
            continue
        if not names:
            row = Row(path, reader.line_num, {})
            names = tuple(_checked_header(row, [cell.strip() for cell in cells], columns))
        elif len(cells) != len(names):
            right = f"{dialect}; quote a value that has one in it"
            Row(path, reader.line_num, {}).refuse(f"{len(cells)} values for {len(names)} columns", right)
        else:
            yield reader.line_num, names, cells


@dataclass(frozen=True)
class Dialect:
    """What separates the values of a table, and the last line before its header."""

    separator: str
    first_line: int = 0

    def __str__(self) -> str:
        return f"values are separated by {SEPARATORS[self.separator]}"


def _dialect(path: Location, text: str) -> Dialect:
    """The separator of the names in the header line. Raises UserError if it has two."""
    lines = ((number, line.rstrip("\r\n")) for number, line in enumerate(each_line(text), start=1) if line.strip())
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


def json_rows(path: Location, *, key: str = "") -> Table:
    """Rows of a JSON lines file, one object per line."""
    return Table.of_rows(path, _json_rows(path, read_text(path, key)))


def line_rows(path: Location, *, key: str = "") -> list[Row]:
    """Non-blank lines of a text file, as rows with the column `path`."""
    lines = enumerate(lines_of(read_text(path, key)), start=1)
    return [Row(path, number, {"path": line.strip()}) for number, line in lines if line.strip()]


def file_rows(root: Location, pattern: str) -> list[Row]:
    """Files below `root` that match a glob pattern, sorted, as rows with the relative posix `path`.

    The ending may be in upper or lower case. Hidden files and folders are left out, as everywhere (`is_hidden`).
    """
    before, dot, ending = pattern.rpartition(".")
    in_any_case = "".join(f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else letter for letter in ending)
    if isinstance(root, Url):
        parts = f"{before}{dot}{in_any_case}".split("/")
        names = [name for name, _ in listing(root) if not leads_out(name) and _matches(name.split("/"), parts)]
    else:
        names = [path.relative_to(root).as_posix() for path in root.glob(f"{before}{dot}{in_any_case}")]
    visible = [name.as_posix() for name in sorted(map(PurePosixPath, names)) if not any(map(is_hidden, name.parts))]
    return [Row(root / name, 0, {"path": shown(name)}) for name in visible]


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a name match those of a pattern as in `Path.glob`: `**` is any number of folders."""
    if not pattern or not parts:
        return not parts and not pattern
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or _matches(parts[1:], pattern)
    return fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def rows_by(column: str, rows: Iterable[Row]) -> dict[str, Row]:
    """Rows by the value of a column, in order. Raises UserError for duplicate values."""
    found: dict[str, Row] = {}
    for row in rows:
        first = found.setdefault(row.required(column), row)
        if first is not row:
            row.refuse(f"{column} {row.text(column)!r} stands at {first.place} already", "remove one row")
    return found


def _json_rows(path: Location, text: str) -> Iterator[tuple[int, tuple[str, ...], tuple[Any, ...]]]:
    """(line, names, values) of each row."""
    for line, content in enumerate(each_line(text), start=1):
        if not content.strip():
            continue
        try:
            cells = json.loads(content)
            if not isinstance(cells, dict):
                raise ValueError("not an object")
        except (ValueError, RecursionError) as error:
            right = 'write one object on each line: {"path": ..., "label": ...}'
            raise UserError(f"{path}:{line}: not a JSON object: {error}", right) from error
        yield line, tuple(cells), tuple(cells.values())


def _checked_header(row: Row, header: list[str], columns: Sequence[str]) -> list[str]:
    if len(set(header)) < len(header):
        row.refuse(f"a column stands twice in the header: {', '.join(header)}", "rename one")
    missing = [name for name in columns if name not in header]
    if missing:
        row.refuse(f"no column {', '.join(missing)}", f"columns found: {', '.join(header)}")
    return header
