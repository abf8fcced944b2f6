"""The table of a manifest and its file of labels: columns that are there, fit each other, and divide the clips."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pannsdist.builtin.manifest.params import ManifestParams
from pannsdist.contracts import UserError, shown
from pannsdist.contracts.locations import Location
from pannsdist.contracts.split_names import how_to_name, is_unclear, split_named
from pannsdist.contracts.tables import TABLE_ENDINGS, Row, Table, lines_of, read_text, table_rows

COLUMNS = ("path", "label", "labels", "events", "split", "fold", "start", "duration", "id")


def fold_of(row: Row) -> int:
    """The number of the column `fold`. Raises UserError."""
    digits = row.text("fold")
    if not re.fullmatch("0*[1-9][0-9]{0,8}", digits):
        row.refuse(f"fold is {digits!r}", "it is an integer, counted from 1")
    return int(digits)


def split_of(row: Row) -> str:
    """The split of the column `split`. Raises UserError."""
    name = row.text("split")
    return split_named(name) or row.refuse(f"unknown split {name!r}", how_to_name(name))


def read_labels(path: Location) -> tuple[str, ...]:
    """The labels of a text file, one per line. Raises UserError."""
    labels: dict[str, int] = {}
    for line, text in enumerate(lines_of(read_text(path, "data.params.labels")), start=1):
        label = shown(text.strip())
        if label in labels:
            named = f"label {label!r}" if path.suffix == ".txt" else "this label"  # another file's lines are not shown
            raise UserError(f"{path}:{line}: {named} is already in line {labels[label]}", "remove one")
        if label:
            labels[label] = line
    if not labels:
        raise UserError(f"{path} has no labels (data.params.labels)", "write one label per line")
    return tuple(labels)


def read_manifest(path: Location, params: ManifestParams) -> Table:
    """The table, with the columns named as `params.columns` says. Raises UserError."""
    columns = params.columns
    if path.suffix.lower() not in TABLE_ENDINGS:
        raise UserError(
            f"{path} (data.params.path) is not a manifest", f"supported suffixes: {', '.join(TABLE_ENDINGS)}"
        )
    table = table_rows(path, key="data.params.path")
    if not table:
        raise UserError(f"{path} (data.params.path) lists no clips", "add a line for each clip")
    if unknown := [name for name in columns if name not in COLUMNS]:
        right = f"it maps {', '.join(COLUMNS)} to names in the table"
        raise UserError(f"data.params.columns has {unknown[0]!r}", right)
    alternatives = ("label", "labels") if {"label", "labels"} & set(columns) else ()
    table = table.renamed(columns, alternatives) if columns else table
    needs_labels = not (params.events or table.has("events"))
    for row in table.examples:
        _check_columns(row, needs_labels)
    return table


def _check_columns(row: Row, needs_labels: bool) -> None:
    for names in (("path",), ("label", "labels")) if needs_labels else (("path",),):
        if not any(name in row.cells for name in names):
            found = f"columns found: {', '.join(row.cells)}"
            right = f"{found}; if it has another name: data.params.columns.{names[0]}=NAME"
            row.refuse(f"no column {' or '.join(map(repr, names))}", right)
    if "label" in row.cells and "labels" in row.cells:
        row.refuse("both columns 'label' and 'labels'", "keep one, or rename the other")


def check_division(table: Table, params: ManifestParams) -> None:
    """Raise UserError if columns and params do not divide the table, or contradict each other."""
    first = table[0]
    has = {column: column in first.cells for column in ("fold", "split")}
    if not _is_uniform(table, has, params):
        for row in table:
            _check_row(row, first, has, params)
    columns = f"columns found: {', '.join(first.cells)}; "
    for key in ("valid_fraction", "test_fraction", "folds"):
        owner = "fold" if has["fold"] else "split" if has["split"] and key != "folds" else ""
        if getattr(params, key) and owner:
            wrong = f"data.params.{key} is {getattr(params, key)}, but the table has a column {owner!r}"
            first.refuse(wrong, "leave it out to use the column; rename the column to draw the splits by class")
    if params.valid_fold and not (has["fold"] or params.folds):
        wrong = f"no column 'fold', but data.params.valid_fold is {params.valid_fold}"
        first.refuse(wrong, f"{columns}to draw folds by class: data.params.folds=5")
    if not (any(has.values()) or params.valid_fraction or params.valid_fold):
        right = "to hold out a fifth of every class: data.params.valid_fraction=0.2\nfor cross-validation: "
        first.refuse("no column 'split' or 'fold'", f"{columns}{right}data.params.folds=5, with valid_fold=1 for one")


def _is_uniform(table: Table, has: Mapping[str, bool], params: ManifestParams) -> bool:
    """Whether no row can be refused by `_check_row`."""
    same = all((column in row.cells) == there for column, there in has.items() for row in table.examples)
    splits = set(table.texts("split")) if has["split"] else ()
    may_be_any = has["fold"] and bool(params.valid_fold)
    return same and not any(is_unclear(name) or not (may_be_any or split_named(name)) for name in splits)


def _check_row(row: Row, first: Row, has: Mapping[str, bool], params: ManifestParams) -> None:
    for column, is_first in has.items():
        if is_first != (column in row.cells):
            wrong = f"only one of this line and line {first.line} has {column!r}"
            row.refuse(wrong, "give it in every line, or in none")
    if has["split"] and (is_unclear(row.text("split")) or not (has["fold"] and params.valid_fold)):
        split_of(row)
