"""The rows of a manifest as clips: column by column, and row by row only where something is unusual or wrong."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Iterable, Sequence
from itertools import compress, repeat
from typing import Any

import numpy as np

from pannsdist.builtin.manifest.params import ManifestParams
from pannsdist.builtin.manifest.places import LocalFiles, Places, RemoteFiles
from pannsdist.contracts import UserError, shown
from pannsdist.contracts.clip_lists import ClipList, Ragged
from pannsdist.contracts.locations import Location, Url, is_url
from pannsdist.contracts.tables import Row, Table

MANY = 1 << 16
"""Different texts of several labels that are remembered."""
NO_LABEL = -1


def read_clips(path: Location, table: Table, root: Location, params: ManifestParams) -> ClipList:
    """The clips of a table, with their files as they are stored. Raises UserError for the first row that is no clip.

    Columns are read as a whole; what `_checked` may refuse in a row is looked at again, in the order of the rows.
    """
    places: Places = RemoteFiles(root) if isinstance(root, Url) else LocalFiles(root)
    names = [_name(text) for text in table.texts("path")]
    unclear = places.unclear(list(filter(None, names)))
    starts, wrong_starts = _seconds(table, "start")
    durations, wrong_durations = _seconds(table, "duration")
    durations = None if durations is None or np.isnan(durations).all() else durations
    zero = () if durations is None else np.flatnonzero(durations == 0).tolist()
    labels = _Labels(params)
    wrong_labels = labels.read(_label_values(table))
    rows = [row for row, name in enumerate(names) if not name or name in unclear]
    for row in sorted({*rows, *wrong_starts, *wrong_durations, *zero, *wrong_labels}):
        names[row] = _checked(table[row], places, params)
    ids = _ids(table, names, starts)
    present = _present(path, table, {row: names[row] for row in rows}, places, root)
    for row, name in zip(rows, present, strict=True):
        names[row] = name
    starts = (
        None if starts is None or np.isnan(starts).all() else np.nan_to_num(starts, nan=0.0) + 0.0
    )  # of -0.0 it is 0.0
    return ClipList(ids, places.sources(names), tuple(labels.names), labels.numbers(), starts, durations)


def check_clips(table: Table, clips: ClipList, labels: Sequence[str], file: str) -> None:
    """Raise UserError for unknown labels, those that are not in the `file`, and for duplicate ids."""
    known = set(labels)
    if known.issuperset(clips.label_names) and len(set(clips.ids)) == len(clips):
        return
    lines: dict[str, int] = {}
    for number, row in enumerate(table):
        unknown = [label for label in clips.labels_at(number) if label not in known]
        if unknown:
            row.refuse(f"unknown label {unknown[0]!r}", f"labels are listed in {file} (data.params.labels)")
        name = clips.ids[number]
        if lines.setdefault(name, row.line) != row.line:
            row.refuse(f"id {name!r} is already in line {lines[name]}", "add a column 'id' with unique values")


def _name(text: str) -> str:
    """A path relative to the root in its shortest form; empty for one that may be outside of it, and for a URL."""
    if text[:1] not in ("/", ".", "") and "/." not in text and "//" not in text and text[-1] != "/":
        return text
    name = "" if is_url(text) else os.path.normpath(text)
    return "" if name.startswith(("/", "..")) or name in ("", ".") else name


def _seconds(table: Table, column: str) -> tuple[np.ndarray | None, list[int]]:
    """The numbers of a column (N,), NaN where it is empty, and the rows in which it is no number; None without it."""
    texts = table.texts(column) if table.has(column) else []
    if not any(texts):
        return None, []
    seconds, wrong = np.full(len(texts), np.nan), []
    for row, text in compress(enumerate(texts), texts):
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        seconds[row] = number
        if not 0 <= number < math.inf:
            wrong.append(row)
    return seconds, wrong


def _label_values(table: Table) -> Iterable[Any]:
    """What `label` or `labels` has in each row, of which a row has one."""
    columns = [column for column in ("labels", "label") if table.has(column)]
    if len(columns) < 2:
        return table.values(columns[0]) if columns else repeat(None, len(table))
    pairs = zip(*(table.values(column) for column in columns), strict=True)
    return (second if first is None else first for first, second in pairs)


class _Labels:
    """Labels of clips as numbers of `names`, which are in the order of their first clip."""

    def __init__(self, params: ManifestParams) -> None:
        self._params, self.names = params, list[str]()
        self._number_of: dict[str, int] = {}
        self._known: dict[str, tuple[int, ...]] = {}
        self._values, self._lengths = array("i"), array("i")

    def read(self, values: Iterable[Any]) -> list[int]:
        """Take the labels of all rows. Returns the rows that may be refused."""
        wrong = []
        for row, value in enumerate(values):
            own = self._known.get(value) if type(value) is str else None
            if own is None:
                own = self._numbers(value)
                if own is None:
                    wrong.append(row)
                    own = ()
                elif type(value) is str and len(self._known) < MANY:
                    self._known[value] = own
            if len(own) != 1 and not self._params.multi_label:
                wrong.append(row)
            self._values.extend(own)
            self._lengths.append(len(own))
        return wrong

    def numbers(self) -> Ragged:
        """The numbers of each row."""
        return Ragged.of_lengths(np.array(self._values, np.int32), np.array(self._lengths))

    def _numbers(self, value: Any) -> tuple[int, ...] | None:
        """The labels of a value of the column; None if it is neither text nor a list of it."""
        pieces = _pieces(value, self._params.label_separator)
        if pieces is None:
            return None
        numbers = dict.fromkeys(
            [self._number_of[piece] if piece in self._number_of else self._new(piece) for piece in pieces]
        )
        numbers.pop(NO_LABEL, None)
        return tuple(numbers)

    def _new(self, piece: str) -> int:
        """The number of a text that was not there before; it may be an earlier label with other spaces."""
        label = shown(piece.strip())
        if label and label not in self._number_of:
            self._number_of[label] = len(self.names)
            self.names.append(label)
        self._number_of[piece] = number = self._number_of[label] if label else NO_LABEL
        return number


def _pieces(value: Any, separator: str) -> list[str] | None:
    """The labels of a value of the column, as it has them; None if it is neither text nor a list of it."""
    if isinstance(value, list):
        return value if all(isinstance(label, str) for label in value) else None
    return None if isinstance(value, dict) else ("" if value is None else str(value)).strip().split(separator)


def _ids(table: Table, names: list[str], starts: np.ndarray | None) -> list[str]:
    """The id of each row: that of the column, else its path, with the start if it has one."""
    made: Iterable[str] = names
    if starts is not None:
        pieces = ("" if math.isnan(start_s) else f"#{start_s:.15g}" for start_s in starts.tolist())
        made = (name + piece for name, piece in zip(names, pieces, strict=True))
    if table.has("id"):
        made = (text or name for text, name in zip(table.texts("id"), made, strict=True))
    return [name if name.isascii() and name.isprintable() else shown(name) for name in made]


def _checked(row: Row, places: Places, params: ManifestParams) -> str:
    """The path of a row relative to the root. Raises UserError for a row that is no clip."""
    name = places.checked(row)
    row.seconds("start")
    if row.seconds("duration") == 0:
        row.refuse("duration is 0", "it is a number of seconds above 0")
    _check_labels(row, params)
    return name


def _check_labels(row: Row, params: ManifestParams) -> None:
    column = "labels" if "labels" in row.cells else "label"
    found = _pieces(row.cells.get(column), params.label_separator)
    if found is None:
        row.refuse(f"{column} is {row.cells[column]!r}", "it is a string, or in JSON a list of strings")
    labels = list(dict.fromkeys(shown(label.strip()) for label in found if label.strip()))
    if not labels and not params.multi_label:
        row.refuse(f"{column} is empty", "every clip needs a label, unless data.params.multi_label=true")
    if len(labels) > 1 and not params.multi_label:
        right = "set data.params.multi_label=true, or, if this is one label, another data.params.label_separator"
        row.refuse(f"several labels: {', '.join(labels)}", right)


def _present(path: Location, table: Table, names: dict[int, str], places: Places, root: Location) -> list[str]:
    """The paths of some rows, by their numbers, as they are stored. Raises UserError for missing ones."""
    found = {row: places.present(table[row], name) for row, name in names.items()}
    missing = [row for row, name in found.items() if name is None]
    if missing:
        some = [
            f"line {table.lines[row]}: {root / names[row]}; {places.hint(names[row])}".removesuffix("; ")
            for row in missing[:3]
        ]
        right = "\n".join([*some, "paths are relative to data.params.root"])
        raise UserError(f"{path}: {len(missing)} of {len(table)} clips have no file, such as", right)
    return [name for name in found.values() if name is not None]
