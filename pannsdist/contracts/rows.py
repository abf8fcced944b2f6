"""Tables of dataset plugins: rows that name their file and line in errors, kept in columns."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, overload

from pannsdist.contracts.locations import Location
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.foreign import excerpt

__all__ = ["Row", "Table"]

BLOCK_ROWS = 4096
"""Rows that are put into columns at a time; equal texts among them are kept once."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: `cells` are text, or any JSON value; errors name file and line.

    `line` is 0 if the row stands for the file itself.
    """

    file: Location
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
            right = "it is a number of seconds, 0 or more, with a decimal point"
            self.refuse(f"{column} is {excerpt(self.text(column))!r}", right)
        return number


@dataclass
class _Part:
    """The rows of one shape: its number, the numbers of its rows in the table, and their columns."""

    number: int
    rows: array[int]
    columns: dict[str, list[Any]]


class Table(Sequence[Row]):
    """The rows of a table in columns; a `Row` is made when it is taken. A million rows need as much as their texts.

    Rows of one shape, the sequence of their names, have columns of their own: rows of JSON with many different names
    need no more than their values. A table with a header has a single shape.
    """

    def __init__(self, file: Location) -> None:
        self.file = file
        self.lines, self._part_of, self._place_of = array("Q"), array("L"), array("L")
        self._parts: dict[tuple[str, ...], _Part] = {}
        self._listed: list[_Part] = []

    @classmethod
    def of_rows(cls, file: Location, rows: Iterable[tuple[int, tuple[str, ...], Sequence[Any]]]) -> Table:
        """A table of (line, names, values) of each row."""
        table, block, lines, shape = cls(file), list[Sequence[Any]](), list[int](), tuple[str, ...]()
        for line, names, values in rows:
            if len(block) == BLOCK_ROWS or (names is not shape and names != shape):
                table._extend(shape, lines, block)
                block, lines = [], []
            shape = names
            block.append(values)
            lines.append(line)
        table._extend(shape, lines, block)
        return table

    def _extend(self, names: tuple[str, ...], lines: Sequence[int], rows: Sequence[Sequence[Any]]) -> None:
        if not rows:
            return
        if names not in self._parts:
            self._parts[names] = _Part(len(self._parts), array("L"), {name: [] for name in names})
            self._listed.append(self._parts[names])
        part, first = self._parts[names], len(self.lines)
        self._place_of.extend(range(len(part.rows), len(part.rows) + len(rows)))
        part.rows.extend(range(first, first + len(rows)))
        self._part_of.extend([part.number] * len(rows))
        self.lines.extend(lines)
        for column, values in zip(part.columns.values(), zip(*rows, strict=True), strict=True):
            kept: dict[str, str] = {}
            column.extend([kept.setdefault(value, value) if type(value) is str else value for value in values])

    def __len__(self) -> int:
        return len(self.lines)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        part, place = self._listed[self._part_of[index]], self._place_of[index]
        return Row(self.file, self.lines[index], {name: column[place] for name, column in part.columns.items()})

    def __iter__(self) -> Iterator[Row]:
        return map(self.__getitem__, range(len(self)))

    @property
    def examples(self) -> list[Row]:
        """The first row of each shape, in order."""
        return [self[part.rows[0]] for part in self._listed]

    def values(self, column: str) -> Sequence[Any]:
        """The value of a column in each row; None where a row does not have it."""
        if len(self._listed) == 1 and column in self._listed[0].columns:
            return self._listed[0].columns[column]
        found: list[Any] = [None] * len(self)
        for part in self._listed:
            for row, value in zip(part.rows, part.columns.get(column, ()), strict=False):
                found[row] = value
        return found

    def has(self, column: str) -> bool:
        """Whether any row has the column."""
        return any(column in part.columns for part in self._listed)

    def texts(self, column: str) -> list[str]:
        """`Row.text` of a column for each row."""
        return [value.strip() if type(value) is str else _text(value) for value in self.values(column)]

    def renamed(self, columns: Mapping[str, str], hidden: Sequence[str] = ()) -> Table:
        """The table with `Row.renamed` of each row."""
        made = Table(self.file)
        made.lines, made._part_of, made._place_of = self.lines, self._part_of, self._place_of
        for part, example in zip(self._listed, self.examples, strict=True):
            names = example.renamed(columns, hidden).cells
            own = {name: part.columns[columns.get(name, name)] for name in names}
            made._listed.append(_Part(part.number, part.rows, own))
        return made


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
