"""A table of clips: which of its columns is what, how labels are separated, and where its paths start."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pannsdist.contracts.locations import Location, Url, is_url, leads_out, states
from pannsdist.contracts.name_patterns import NamePattern, groups_by_pattern
from pannsdist.contracts.tables import Row, table_rows
from pannsdist.run.proposal.document import Line
from pannsdist.runtime.errors import UserError, candidates_line, shell_command
from pannsdist.runtime.names import is_file, shown

NAMES = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "audio", "audio_path", "wav", "fname"),
    "label": ("label", "labels", "category", "class", "class_name", "target", "tag", "tags", "categories", "classes"),
    "split": ("split", "subset", "set", "partition"),
    "fold": ("fold",),
    "start": ("start", "start_s", "onset"),
    "duration": ("duration", "duration_s"),
}
GROUPS = (
    *("group", "speaker", "speaker_id", "subject", "subject_id", "patient", "patient_id", "user", "client_id"),
    *("recording", "recording_id", "session", "source", "site"),
)
EVENTS = ("events", "event_label", "event_labels")
OF_EVENTS = "\nlabels of events have no proposal yet: data.name=manifest reads them, also beside a table of clips, "
OF_EVENTS += "with data.params.events"
SEPARATORS = (";", "|", ",", " ")
LOOKED_AT = 20
"""Paths that are looked for below a folder that may be the one they start from."""


@dataclass(frozen=True)
class Table:
    """The rows of a table, with the columns that were recognised: what each is -> its name in the table."""

    path: Location
    rows: tuple[Row, ...]
    columns: dict[str, str]

    @property
    def division(self) -> str:
        """The column that divides the clips: `split`, `fold`, or nothing."""
        return next((name for name in ("split", "fold") if name in self.columns), "")

    @property
    def first_fold(self) -> int:
        """The smallest fold of the column `fold`; 1 if it holds none, 0 without the column."""
        if "fold" not in self.columns:
            return 0
        texts = {row.text(self.columns["fold"]) for row in self.rows}
        return min((int(text) for text in texts if text.isdecimal() and int(text)), default=1)

    @property
    def group(self) -> tuple[str, str, str]:
        """The column that names groups, why, and who said so; empty if none is recognised, or splits are given."""
        found = _recognised(tuple(self.rows[0].cells), GROUPS)
        usable = found and not self.division and len({row.text(found) for row in self.rows}) > 2
        return (found, "a column of the table", "by its name") if usable else ("", "", "")

    def groups(self, column: str) -> dict[str, str]:
        """The group of each file. Raises UserError for a column that is not there, or a pattern that does not match."""
        paths = [row.text(self.columns["path"]) for row in self.rows]
        if column in self.rows[0].cells:
            values = [row.text(column) for row in self.rows]
        elif "(" in column:
            values = groups_by_pattern(NamePattern(column, "--group"), paths)
        else:
            right = candidates_line(column, self.rows[0].cells, "columns found")
            wrong = f"{self.path} has no column {column!r} (--group)"
            raise UserError(wrong, f"{right}\nor a pattern of the path with the group in parentheses, as '(*)_*'")
        root = self.root[0]
        names = (path if is_url(path) else str(root / path) for path in paths)
        return {self.key(name): value for name, value in zip(names, values, strict=True)}

    def key(self, name: str) -> str:
        """What equal files have in common, however a table or a clip writes them."""
        return name if is_url(name) else os.path.normpath(name)

    @cached_property
    def separator(self) -> str:
        """What separates several labels of a clip; empty if each has one."""
        cells = [self.labels_of(row) for row in self.rows]
        if any(isinstance(row.cells.get(self.columns["label"]), list) for row in self.rows):
            return SEPARATORS[0]
        wholes = Counter(cells)
        for separator in SEPARATORS:
            pieces = {piece.strip() for cell in wholes for piece in cell.split(separator) if piece.strip()}
            if any(separator in cell for cell in wholes) and len(pieces) < len(wholes):
                return separator
        return ""

    def labels_of(self, row: Row) -> str:
        """The cell with the labels, as text."""
        return row.text(self.columns["label"])

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The params of the dataset `manifest`, except how it is divided."""
        return tuple(self._lines())

    def _lines(self) -> Iterator[Line]:
        yield Line("data.params.path", shown(self.path), "the table, relative to the folder where commands are typed")
        root, why = self.root
        if root != self.path.parent:
            yield Line("data.params.root", shown(root), why)
        for what, name in self.columns.items():
            if name != what and not (what == "label" and name == "labels"):
                yield Line(f"data.params.columns.{what}", name, f"the column that holds the {what} of a clip")
        empty = sum(not self.labels_of(row) for row in self.rows)
        if self.separator or empty:
            why = f"{empty} clips without a label" if empty else f"cells such as {self._example!r}"
            yield Line("data.params.multi_label", True, f"several labels for one clip, or none: {why}")
        if self.separator:
            yield Line("data.params.label_separator", self.separator, "between the labels of one clip")
        elif any(SEPARATORS[0] in self.labels_of(row) for row in self.rows):
            yield Line("data.params.label_separator", "\t", "labels hold ';' as part of the name: these do not recur")

    @property
    def _example(self) -> str:
        cells = (row.cells[self.columns["label"]] for row in self.rows)
        return shown(next(cell for cell in cells if isinstance(cell, list) or self.separator in str(cell)))

    @cached_property
    def root(self) -> tuple[Location, str]:
        """The folder from which the paths start: that of the table, or one in it or beside it that has the files."""
        names = [row.text(self.columns["path"]) for row in self.rows[:: max(1, len(self.rows) // LOOKED_AT)]]
        above = self.path.parent
        if isinstance(above, Url):
            return _remote_root(above, next(filter(None, names), ""))
        for folder in (above, *_folders(above), Path(), *_folders(above.parent)):
            if all(is_file(folder / name) for name in names[:LOOKED_AT] if name):
                return folder, "the folder from which the paths in the table start: the files are there"
        return above, ""


def read_table(path: Location) -> Table:
    """Read a table, and recognise its columns. Raises UserError for one without paths or labels."""
    rows = table_rows(path, key="--from")
    if not rows:
        raise UserError(f"{shown(path)} (--from) lists no clips", "a header, then a line for each clip: path,label")
    columns, found = tuple(rows[0].cells), {}
    for what, names in NAMES.items():
        if name := _recognised(columns, names):
            found[what] = name
    for needed in ("path", "label"):
        if needed not in found:
            wrong = f"{shown(path)}:{rows[0].line}: no column for the {needed} of a clip among {', '.join(columns)}"
            right = f"name one of them {', '.join(NAMES[needed])}"
            right += OF_EVENTS if _recognised(columns, EVENTS) else ""
            raise UserError(wrong, right, shell_command("head", "-3", shown(path)))
    return Table(path, tuple(rows), found)


def _recognised(columns: Sequence[str], names: Sequence[str]) -> str:
    """The first of these names among the columns, in any case; empty if there is none."""
    lower = {column.lower(): column for column in reversed(columns)}
    return next((lower[name] for name in names if name in lower), "")


def _remote_root(above: Url, name: str) -> tuple[Url, str]:
    """As `Table.root` in a store, where folders are not looked for: beside the table, or in `audio/` there or above."""
    fitting = [above, above / "audio", above.parent / "audio", above.parent]
    urls = {root: root / name for root in fitting if not leads_out(name)}
    found = states(list(urls.values())) if urls else {}
    there = [root for root, url in urls.items() if found[url] is not None]
    return (there[0], "the place from which the paths in the table start") if there else (above, "")


def _folders(above: Path) -> list[Path]:
    try:
        return sorted(path for path in above.iterdir() if path.is_dir())[:100]
    except OSError:
        return []
