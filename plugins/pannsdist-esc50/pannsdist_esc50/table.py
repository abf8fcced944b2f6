"""The table of ESC-50: `meta/esc50.csv`, a row for each clip."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pannsdist.contracts import UserError

COLUMNS = ("filename", "fold", "target", "category", "esc10")


@dataclass(frozen=True)
class Row:
    """One row that is as it should be; `place` says where it stands, for messages."""

    filename: str
    fold: int
    target: int
    category: str
    esc10: bool
    place: str

    @property
    def id(self) -> str:
        """The file's name without its ending."""
        return PurePosixPath(self.filename).stem


def read_table(path: Path, esc10_only: bool) -> Sequence[Row]:
    """The rows of the table in its order; with `esc10_only` those alone that belong to ESC-10.

    Raises `UserError`, with file and line, for a missing column, for a row that does not parse, and for two rows with
    one id. A byte-order mark and any line ends will do.
    """
    rows = [row for row in parsed(path) if row.esc10 or not esc10_only]
    if not rows:
        wanted = "rows with esc10 True" if esc10_only else "rows"
        raise UserError(f"{path} has no {wanted}", "the table of the ESC-50 download")
    seen: dict[str, Row] = {}
    for row in rows:
        first = seen.setdefault(row.id, row)
        if first is not row:
            wrong = f"{row.place}: {row.filename!r} has the same id as {first.filename!r} at {first.place}"
            raise UserError(wrong, "file names that differ before their endings")
    return rows


def parsed(path: Path) -> Iterator[Row]:
    """All rows of the table; raises `UserError` at the first that is wrong."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        try:
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                found = ", ".join(reader.fieldnames or ()) or "none"
                raise UserError(
                    f"{path}:1: no column {', '.join(missing)}", f"columns found: {found}", f"head -1 {path}"
                )
            for fields in reader:
                yield parse_row(fields, f"{path}:{reader.line_num}")
        except (csv.Error, UnicodeDecodeError) as error:
            wrong = f"{path}: near line {reader.line_num + 1}: {error}"
            raise UserError(wrong, "a table of text in UTF-8, with commas") from error


def parse_row(fields: dict[str, str], place: str) -> Row:
    """One row out of its fields; raises `UserError` that says `place`, the column, the value and what would do."""
    if None in fields or None in fields.values():
        raise UserError(f"{place}: more or fewer fields than the header has")
    text = {name: fields[name].strip() for name in COLUMNS}
    rules = (
        ("filename", is_plain_name(text["filename"]), "the name of a file in audio/, without folders"),
        ("fold", text["fold"] in tuple("12345"), "1 to 5"),
        ("target", re.fullmatch("[0-9]{1,6}", text["target"]) is not None, "a whole number from 0 up"),
        ("category", bool(text["category"]), "the name of the class"),
        ("esc10", text["esc10"].lower() in ("true", "false"), "True or False"),
    )
    for name, kept, right in rules:
        if not kept:
            raise UserError(f"{place}: {name} is {text[name]!r}", f"allowed: {right}")
    esc10 = text["esc10"].lower() == "true"
    return Row(text["filename"], int(text["fold"]), int(text["target"]), text["category"], esc10, place)


def is_plain_name(name: str) -> bool:
    """Whether `name` stays in the folder that it is joined to, on any system."""
    return bool(name) and name not in (".", "..") and not set(name) & set("/\\:\0")
