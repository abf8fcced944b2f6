"""Dataset plugin `manifest`: clips listed in a CSV or JSON lines file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from pannsdist.contracts import Clip, UserError, param, path_of, shown
from pannsdist.contracts.drawn_splits import check_drawn_params, draw_splits, drawn_folds, refuse_leaked_groups
from pannsdist.contracts.file_lookup import FileLookup, is_file, is_folder, leads_out, real_folder
from pannsdist.contracts.name_patterns import NamePattern, groups_by_pattern
from pannsdist.contracts.split_names import SPLITS, how_to_name, is_unclear, split_named
from pannsdist.contracts.tables import TABLE_ENDINGS, Row, lines_of, read_text, table_rows

COLUMNS = ("path", "label", "labels", "split", "fold", "start", "duration", "id")
COLUMNS_DOC = "what the table calls its columns, where it differs, as {path: filename, label: category}"


@dataclass(frozen=True)
class ManifestParams:
    """`path`, `root` and `labels` are relative to the working directory."""

    path: str = param(doc=f"manifest file: {', '.join(TABLE_ENDINGS)}")
    root: str = param("", "folder that paths in the manifest are relative to; empty: folder of the manifest")
    valid_fold: int = param(0, "fold of the valid split; 0: use the column split, or valid_fraction")
    multi_label: bool = param(False, "whether a clip may have several labels")
    label_separator: str = param(";", "separator between labels")
    labels: str = param("", "text file with one label per line, in output order; empty: sorted labels")
    folds: int = param(0, "number of folds to draw, without a column fold; 0: none")
    valid_fraction: float = param(0.0, "fraction of each class for validation, without a column split or fold")
    test_fraction: float = param(0.0, "fraction of each class for testing, without a column split or fold")
    group: str = param("", "column whose values are never split, or a pattern of the path, such as (*)_* or (*)/*")
    seed: int = param(0, "seed of the drawn splits and folds")
    columns: dict[str, str] = field(default_factory=dict, metadata={"doc": COLUMNS_DOC})


class Manifest:
    """Clips listed in a table: text with a header (.csv, .tsv, .txt) or one JSON object per line (.jsonl, .json).

    How texts are separated and encoded: `contracts.tables`. Columns: `path`, relative to the root, with slashes;
    `label` or `labels` (in JSON a string or a list of strings); and `split` (its values: `contracts.split_names`) or
    `fold` (counted from 1). With `valid_fold` 0 the column `split` is used; otherwise that fold is `valid` and the
    others are `train`, but `test` of a column `split` stays `test`. Optional columns: `start` and `duration` in seconds
    of a segment of the file; `id`, which defaults to the path, with `#start` appended if a start is given; the column
    of `group`. Other columns are ignored. `columns` says what the table calls them, such as
    `{path: filename, label: category}`.

    A table without these columns is divided by `folds` or by `valid_fraction` and `test_fraction`, and `folds` divides
    `train` and `valid` of a column `split` anew (`contracts.drawn_splits`). The clips of one group stay together;
    without `group` those of one file.

    A file whose name on disk has another Unicode normal form, as on macOS, is found.

    With `multi_label`, labels are split at `label_separator` and may be empty. `labels` is a text file with one label
    per line, in the order of the network's outputs; without it labels are sorted.
    """

    Params: ClassVar[type] = ManifestParams
    fold_param: ClassVar[str] = "valid_fold"

    @classmethod
    def folds(cls, params: ManifestParams) -> tuple[int, ...]:
        """The folds of the column `fold`, or those to draw; empty if there are none."""
        if params.folds:
            return drawn_folds(params)
        rows = _read_rows(path_of(params.path), params.columns)
        if not all("fold" in row.cells for row in rows):
            return ()
        return tuple(sorted({_fold(row) for row in rows if split_named(row.text("split")) != "test"}))

    def __init__(self, params: ManifestParams) -> None:
        if not params.label_separator:
            raise UserError("data.params.label_separator is empty", "it is at least one character, such as ';'")
        check_drawn_params(params)
        path = path_of(params.path)
        root = path_of(params.root) if params.root else path.parent
        if not is_folder(root):
            raise UserError(
                f"{root} is not a folder (data.params.root)",
                "give the folder that the paths in the manifest are relative to",
            )
        known = _read_labels(path_of(params.labels)) if params.labels else ()
        rows = _read_rows(path, params.columns)
        _check_division(rows, params)
        clips = _present(path, rows, [_clip(row, root, params) for row in rows], root)
        self.multi_label = params.multi_label
        self.labels = known or tuple(sorted({label for clip in clips for label in clip.labels}))
        _check(rows, clips, self.labels, params)
        self._clips = _splits(path, rows, clips, params)
        self.splits = tuple(self._clips)

    def clips(self, split: str) -> tuple[Clip, ...]:
        """Clips of one split, in the order of the manifest; opens no audio."""
        if split not in self._clips:
            raise UserError(f"the dataset has no split {split!r}", f"splits: {', '.join(self.splits)}")
        return tuple(self._clips[split])


def _fold(row: Row) -> int:
    digits = row.text("fold")
    if not re.fullmatch("0*[1-9][0-9]{0,8}", digits):
        row.refuse(f"fold is {digits!r}", "it is an integer, counted from 1")
    return int(digits)


def _labels(row: Row, params: ManifestParams) -> tuple[str, ...]:
    column = "labels" if "labels" in row.cells else "label"
    value = row.cells[column]
    found = value if isinstance(value, list) else row.text(column).split(params.label_separator)
    if isinstance(value, dict) or not all(isinstance(label, str) for label in found):
        row.refuse(f"{column} is {value!r}", "it is a string, or in JSON a list of strings")
    labels = tuple(dict.fromkeys(shown(label.strip()) for label in found if label.strip()))
    if not labels and not params.multi_label:
        row.refuse(f"{column} is empty", "every clip needs a label, unless data.params.multi_label=true")
    if len(labels) > 1 and not params.multi_label:
        right = "set data.params.multi_label=true, or, if this is one label, another data.params.label_separator"
        row.refuse(f"several labels: {', '.join(labels)}", right)
    return labels


def _clip(row: Row, root: Path, params: ManifestParams) -> Clip:
    inside = os.path.relpath(root / row.text("path"), root)
    if Path(inside).parts[:1] in ((), (os.pardir,)):
        right = "\n".join(
            filter(None, ["paths are relative to data.params.root", FileLookup(root).hint(row.text("path"))])
        )
        row.refuse(f"path {row.text('path')!r} is outside of {root}", right)
    _refuse_link(row, root / inside, root)
    start_s, duration_s = row.seconds("start"), row.seconds("duration")
    if duration_s == 0:
        row.refuse("duration is 0", "it is a number of seconds above 0")
    name = Path(inside).as_posix() + ("" if start_s is None else f"#{start_s:.15g}")
    return Clip(shown(row.text("id") or name), root / inside, _labels(row, params), start_s or 0.0, duration_s)


def _refuse_link(row: Row, path: Path, root: Path) -> None:
    if leads_out(path, root):
        row.refuse(f"path {row.text('path')!r} is a link that leads out of {root}", real_folder(path, root))


def _read_labels(path: Path) -> tuple[str, ...]:
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


def _read_rows(path: Path, columns: Mapping[str, str]) -> list[Row]:
    if path.suffix.lower() not in TABLE_ENDINGS:
        raise UserError(
            f"{path} (data.params.path) is not a manifest", f"supported suffixes: {', '.join(TABLE_ENDINGS)}"
        )
    rows = table_rows(path, key="data.params.path")
    if not rows:
        raise UserError(f"{path} (data.params.path) lists no clips", "add a line for each clip")
    if unknown := [name for name in columns if name not in COLUMNS]:
        right = f"it maps {', '.join(COLUMNS)} to names in the table"
        raise UserError(f"data.params.columns has {unknown[0]!r}", right)
    alternatives = ("label", "labels") if {"label", "labels"} & set(columns) else ()
    rows = [row.renamed(columns, alternatives) for row in rows] if columns else rows
    for row in rows:
        _check_columns(row)
    return rows


def _check_columns(row: Row) -> None:
    for names in (("path",), ("label", "labels")):
        if not any(name in row.cells for name in names):
            found = f"columns found: {', '.join(row.cells)}"
            right = f"{found}; if it has another name: data.params.columns.{names[0]}=NAME"
            row.refuse(f"no column {' or '.join(map(repr, names))}", right)
    if "label" in row.cells and "labels" in row.cells:
        row.refuse("both columns 'label' and 'labels'", "keep one, or rename the other")


def _check_division(rows: list[Row], params: ManifestParams) -> None:
    """Raise UserError if columns and params do not divide the table, or contradict each other."""
    has = {column: column in rows[0].cells for column in ("fold", "split")}
    for row in rows:
        for column, is_first in has.items():
            if is_first != (column in row.cells):
                line = rows[0].line
                row.refuse(f"only one of this line and line {line} has {column!r}", "give it in every line, or in none")
        if has["split"] and (is_unclear(row.text("split")) or not (has["fold"] and params.valid_fold)):
            _split(row)
    first, columns = rows[0], f"columns found: {', '.join(rows[0].cells)}; "
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


def _splits(path: Path, rows: list[Row], clips: list[Clip], params: ManifestParams) -> dict[str, list[Clip]]:
    """The non-empty splits, as the columns say or drawn."""
    groups = _groups(rows, clips, params)
    if params.group:
        clips = [replace(clip, group=groups[clip.id]) for clip in clips]
    has_split, has_fold = ("split" in rows[0].cells, "fold" in rows[0].cells)
    if (params.folds and params.valid_fold) or not (has_split or has_fold):
        tests = [has_split and _split(row) == "test" for row in rows]
        parts: list[list[Clip]] = [[], []]
        for clip, is_test in zip(clips, tests, strict=True):
            parts[is_test].append(clip)
        return draw_splits(parts[0], groups, params, parts[1])
    names = _splits_of_columns(path, rows, params.valid_fold)
    splits: dict[str, list[Clip]] = {name: [] for name in SPLITS if name in names}
    for clip, name in zip(clips, names, strict=True):
        splits[name].append(clip)
    if params.group:
        refuse_leaked_groups(splits, groups)
    return splits


def _groups(rows: list[Row], clips: list[Clip], params: ManifestParams) -> dict[str, str]:
    """The group of each clip by its id: of a column, of a pattern, or its file."""
    column, paths = params.group, [row.text("path") for row in rows]
    if not column:
        groups = [str(clip.source) for clip in clips]
    elif all(column in row.cells for row in rows):
        groups = [row.required(column) for row in rows]
    elif "(" in column:
        groups = groups_by_pattern(NamePattern(column, "data.params.group"), paths)
    else:
        row = next(row for row in rows if column not in row.cells)
        right = (
            f"columns found: {', '.join(row.cells)}; or a pattern of the path with the group in parentheses, as (*)_*"
        )
        row.refuse(f"no column {column!r} (data.params.group)", right)
    return {clip.id: shown(group) for clip, group in zip(clips, groups, strict=True)}


def _split(row: Row) -> str:
    name = row.text("split")
    return split_named(name) or row.refuse(f"unknown split {name!r}", how_to_name(name))


def _splits_of_columns(path: Path, rows: list[Row], valid_fold: int) -> list[str]:
    """Split of every row. Raises UserError if `train` or `valid` would be empty."""
    if not valid_fold and all("split" in row.cells for row in rows):
        splits = [_split(row) for row in rows]
        for needed in ("train", "valid"):
            if needed not in splits:
                raise UserError(f"{path} has no clip in split {needed!r}", f"found: {', '.join(sorted(set(splits)))}")
        return splits
    folds = [0 if split_named(row.text("split")) == "test" else _fold(row) for row in rows]
    found = sorted(set(folds) - {0})
    if valid_fold not in found or len(found) < 2:
        wrong = f"data.params.valid_fold is {valid_fold}, which does not divide {path}"
        raise UserError(wrong, f"folds: {str(found)[1:-1]}; one becomes 'valid', the others 'train'")
    names = {valid_fold: "valid", 0: "test"}
    return [names.get(fold, "train") for fold in folds]


def _present(path: Path, rows: list[Row], clips: list[Clip], root: Path) -> list[Clip]:
    """The clips with their files as named on disk. Raises UserError for missing ones."""
    files = FileLookup(root)
    names = [Path(str(clip.source)).relative_to(root).as_posix() for clip in clips]
    found = {name: files.find(name) for name in dict.fromkeys(names)}
    present = {name: path is not None and is_file(path) for name, path in found.items()}
    missing = [(row, name) for row, name in zip(rows, names, strict=True) if not present[name]]
    if missing:
        some = [f"line {row.line}: {root / name}; {files.hint(name)}".removesuffix("; ") for row, name in missing[:3]]
        right = "\n".join([*some, "paths are relative to data.params.root"])
        raise UserError(f"{path}: {len(missing)} of {len(rows)} clips have no file, such as", right)
    for row, name in zip(rows, names, strict=True):
        other = found[name]
        if other is not None and other != root / name:  # the name as written was judged before
            _refuse_link(row, other, root)
    return [replace(clip, source=found[name] or root) for clip, name in zip(clips, names, strict=True)]


def _check(rows: list[Row], clips: list[Clip], labels: tuple[str, ...], params: ManifestParams) -> None:
    """Raise UserError for unknown labels, too few labels and duplicate ids."""
    known, lines = set(labels), {clips[0].id: rows[0].line}
    for row, clip in zip(rows, clips, strict=True):
        unknown = [label for label in clip.labels if label not in known]
        if unknown:
            row.refuse(f"unknown label {unknown[0]!r}", f"labels are listed in {params.labels} (data.params.labels)")
        if lines.setdefault(clip.id, row.line) != row.line:
            row.refuse(f"id {clip.id!r} is already in line {lines[clip.id]}", "add a column 'id' with unique values")
