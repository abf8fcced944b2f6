r"""CSV that this package writes: UTF-8, commas, `\n`, quotes where needed. Every CSV output is made here.

Texts (ids, labels, paths) are written as `names.shown` shows them, so each row is one line. A spreadsheet would compute
a text that starts with one of `FORMULA_STARTS`: unless it is a number, it gets an apostrophe in front, which
spreadsheets take for the mark of a text. Numbers are written in full precision; an undefined one (None or NaN) is an
empty cell.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any, TextIO

from pannsdist.runtime.names import shown

FORMULA_STARTS = ("=", "+", "-", "@")


def cell(value: Any) -> Any:
    """The value as it stands in a cell: a safe text, a number, or nothing."""
    if isinstance(value, str):
        text = shown(value)
        return f"'{text}" if text.lstrip().startswith(FORMULA_STARTS) and not _is_number(text) else text
    if value is None or (isinstance(value, Real) and math.isnan(value)):
        return ""
    return value


def write_rows(file: TextIO, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows, each as soon as it is available."""
    csv.writer(file, lineterminator="\n").writerows([cell(value) for value in row] for row in rows)


def text_of(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as the text of a file."""
    text = io.StringIO()
    write_rows(text, rows)
    return text.getvalue()


def joined(texts: Iterable[str]) -> str:
    """Several texts in one cell, separated by `;`; one that has a `;` is quoted, as in CSV with that separator."""
    row = list(map(shown, texts))
    if not any(mark in text for text in row for mark in ';"'):
        return ";".join(row)
    joint = io.StringIO()
    csv.writer(joint, delimiter=";", lineterminator="").writerow(row)
    return joint.getvalue()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
