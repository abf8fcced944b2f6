"""Clips listed in a table: CSV with a header, or one JSON object per line."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from pannsdist.contracts import Clip, UserError

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class ManifestParams:
    """`path`, `root` and `labels` are from the working directory; an empty `root` is the manifest's folder."""

    path: str
    root: str = ""
    valid_fold: int = 0
    multi_label: bool = False
    label_separator: str = ";"
    labels: str = ""


class Manifest:
    """Clips listed in a table, CSV with a header (.csv) or one JSON object per line (.jsonl, .json), in UTF-8.

    Columns: `path`, below the root; `label` or `labels` (in JSON text or a list of texts); and `split` (train, valid or
    test) or `fold` (counted from 1). `valid_fold` decides between the two: 0 reads `split`, any other number makes that
    fold `valid` and the others `train`. Optional: `start` and `duration` in seconds, which cut a piece out of the file;
    `id`, otherwise the path below the root, with `#start` behind it where a start is given. Other columns are ignored.

    With `multi_label` a text of labels is divided at `label_separator`, and may be empty. `labels` names a text file
    with one label per line, in the order of the network's outputs; without it they are sorted.
    """

    Params: ClassVar[type] = ManifestParams
    fold_param: ClassVar[str] = "valid_fold"

    @classmethod
    def folds(cls, params: ManifestParams) -> tuple[int, ...]:
        """The folds of the table; none where it has no such column."""
        rows = _read_rows(Path(params.path).expanduser(), 0)
        return tuple(sorted({row.fold() for row in rows})) if all("fold" in row.cells for row in rows) else ()

    def __init__(self, params: ManifestParams) -> None:
        if not params.label_separator:
            raise UserError("data.params.label_separator is empty", "it is at least one character, such as ';'")
        path = Path(params.path).expanduser()
        root = Path(params.root).expanduser() if params.root else path.parent
        if not root.is_dir():
            raise UserError(f"{root} is not a folder (data.params.root)", "it is where the manifest's paths start")
        known = _read_labels(Path(params.labels).expanduser()) if params.labels else ()
        rows = _read_rows(path, params.valid_fold)
        clips = [row.clip(root, params) for row in rows]
        splits = _splits(path, rows, params.valid_fold)
        self.multi_label = params.multi_label
        self.labels = known or tuple(sorted({label for clip in clips for label in clip.labels}))
        self.splits = tuple(name for name in SPLITS if name in splits)
        _check(rows, clips, self.labels, params)
        self._clips: dict[str, list[Clip]] = {name: [] for name in self.splits}
        for clip, split in zip(clips, splits, strict=True):
            self._clips[split].append(clip)

    def clips(self, split: str) -> tuple[Clip, ...]:
        """The clips of one split, in the order of the manifest; opens no audio."""
        if split not in self._clips:
            raise UserError(f"the dataset has no split {split!r}", f"splits: {', '.join(self.splits)}")
        return tuple(self._clips[split])


@dataclass(frozen=True)
class _Row:
    """One line of the manifest as it was read: `cells` are text, or any JSON value."""

    file: Path
    line: int
    cells: Mapping[str, Any]

    def refuse(self, wrong: str, right: str = "") -> NoReturn:
        raise UserError(f"{self.file}:{self.line}: {wrong}", right)

    def text(self, column: str) -> str:
        """What stands in the column, as text; empty where there is nothing."""
        value = self.cells.get(column)
        return "" if value is None else str(value).strip()

    def seconds(self, column: str) -> float | None:
        if not self.text(column):
            return None
        try:
            number = float(self.text(column))
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < 0 or (column == "duration" and number == 0):
            self.refuse(f"{column} is {self.text(column)!r}", "start is 0 s or more, duration more than 0 s")
        return number

    def fold(self) -> int:
        digits = self.text("fold")
        if not re.fullmatch("0*[1-9][0-9]{0,8}", digits):
            self.refuse(f"fold is {digits!r}", "it is a whole number, counted from 1")
        return int(digits)

    def labels(self, params: ManifestParams) -> tuple[str, ...]:
        column = "labels" if "labels" in self.cells else "label"
        value = self.cells[column]
        found = value if isinstance(value, list) else self.text(column).split(params.label_separator)
        if isinstance(value, dict) or not all(isinstance(label, str) for label in found):
            self.refuse(f"{column} is {value!r}", "it is a text, or in JSON a list of texts")
        labels = tuple(dict.fromkeys(label.strip() for label in found if label.strip()))
        if not labels and not params.multi_label:
            self.refuse(f"{column} is empty", "every clip needs a label, unless data.params.multi_label=true")
        if len(labels) > 1 and not params.multi_label:
            right = "set data.params.multi_label=true, or, if this is one label, another data.params.label_separator"
            self.refuse(f"several labels: {', '.join(labels)}", right)
        return labels

    def clip(self, root: Path, params: ManifestParams) -> Clip:
        inside = os.path.relpath(root / self.text("path"), root)
        if Path(inside).parts[:1] in ((), (os.pardir,)):
            self.refuse(f"path {self.text('path')!r} does not lie below {root}", "paths start at data.params.root")
        start_s = self.seconds("start")
        name = Path(inside).as_posix() + ("" if start_s is None else f"#{start_s:.15g}")
        labels, duration_s = self.labels(params), self.seconds("duration")
        return Clip(self.text("id") or name, root / inside, labels, start_s or 0.0, duration_s)


def _read_text(path: Path, key: str) -> str:
    """The whole file, without a byte order mark."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {path} ({key}): {error.strerror}", "", f"ls {path.parent}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path}:{line}: not UTF-8 ({key})", "save the file as UTF-8") from error


def _read_labels(path: Path) -> tuple[str, ...]:
    labels: dict[str, int] = {}
    for line, text in enumerate(_read_text(path, "data.params.labels").split("\n"), start=1):
        label = text.strip()
        if label in labels:
            raise UserError(f"{path}:{line}: label {label!r} stands in line {labels[label]} already", "remove one")
        if label:
            labels[label] = line
    if not labels:
        raise UserError(f"{path} has no labels (data.params.labels)", "write one label per line")
    return tuple(labels)


def _read_rows(path: Path, valid_fold: int) -> list[_Row]:
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".json": _json_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path} (data.params.path) is no manifest by its ending", f"endings: {', '.join(readers)}")
    rows = list(reader(path, _read_text(path, "data.params.path")))
    if not rows:
        raise UserError(f"{path} (data.params.path) lists no clips", "write a line for each clip")
    for row in rows if reader is _json_rows else rows[:1]:
        _check_columns(row, valid_fold)
    return rows


def _csv_rows(path: Path, text: str) -> Iterator[_Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    try:
        for cells in (cells for cells in reader if any(cell.strip() for cell in cells)):
            row = _Row(path, reader.line_num, dict(zip(header, cells, strict=False)))
            if not header:
                header = _checked_header(row, [cell.strip() for cell in cells])
            elif len(cells) != len(header):
                row.refuse(f"{len(cells)} values for {len(header)} columns", "quote a value that has a comma in it")
            else:
                yield row
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: not CSV: {error}", "values are separated by commas") from error


def _json_rows(path: Path, text: str) -> Iterator[_Row]:
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            cells = json.loads(content)
            if not isinstance(cells, dict):
                raise ValueError("not an object")
        except (ValueError, RecursionError) as error:
            right = 'write one object on each line: {"path": ..., "label": ...}'
            raise UserError(f"{path}:{line}: not a JSON object: {error}", right) from error
        yield _Row(path, line, cells)


def _checked_header(row: _Row, header: list[str]) -> list[str]:
    if len(header) == 1 and re.search("[;\t]", header[0]):
        row.refuse(f"the header is one column: {header[0]!r}", "separate by commas, not by semicolons or tabs")
    if len(set(header)) < len(header):
        row.refuse(f"a column stands twice in the header: {', '.join(header)}", "rename one")
    return header


def _check_columns(row: _Row, valid_fold: int) -> None:
    for names in (("path",), ("label", "labels"), ("fold",) if valid_fold else ("split", "fold")):
        if not any(name in row.cells for name in names):
            right = f"columns found: {', '.join(row.cells)} (data.params.valid_fold is {valid_fold})"
            row.refuse(f"no column {' or '.join(map(repr, names))}", right)
    if "label" in row.cells and "labels" in row.cells:
        row.refuse("both columns 'label' and 'labels'", "keep one, or rename the other")


def _splits(path: Path, rows: list[_Row], valid_fold: int) -> list[str]:
    """The split of every row; `train` and `valid` have clips."""
    if not valid_fold and all("split" in row.cells for row in rows):
        splits = [row.text("split") for row in rows]
        for row, split in zip(rows, splits, strict=True):
            if split not in SPLITS:
                row.refuse(f"unknown split {split!r}", f"splits: {', '.join(SPLITS)}")
        for needed in ("train", "valid"):
            if needed not in splits:
                raise UserError(f"{path} has no clip in split {needed!r}", f"found: {', '.join(sorted(set(splits)))}")
        return splits
    folds = [row.fold() for row in rows]
    if valid_fold not in folds or len(set(folds)) < 2:
        wrong = f"data.params.valid_fold is {valid_fold}, which does not divide {path}"
        raise UserError(wrong, f"folds: {str(sorted(set(folds)))[1:-1]}; one becomes 'valid', the others 'train'")
    return ["valid" if fold == valid_fold else "train" for fold in folds]


def _check(rows: list[_Row], clips: list[Clip], labels: tuple[str, ...], params: ManifestParams) -> None:
    """Refuse unknown labels, too few labels, ids that stand twice, and files that do not exist."""
    known, lines = set(labels), {clips[0].id: rows[0].line}
    present = {source: Path(str(source)).is_file() for source in {clip.source for clip in clips}}
    for row, clip in zip(rows, clips, strict=True):
        unknown = [label for label in clip.labels if label not in known]
        if unknown:
            row.refuse(f"unknown label {unknown[0]!r}", f"labels stand in {params.labels} (data.params.labels)")
        if lines.setdefault(clip.id, row.line) != row.line:
            row.refuse(f"id {clip.id!r} stands in line {lines[clip.id]} already", "tell them apart by a column 'id'")
    if len(labels) < (1 if params.multi_label else 2):
        raise UserError(f"{params.path} has {len(labels)} label(s): {', '.join(labels)}", "a classifier needs two")
    lost = [
        f"line {row.line}: {clip.source}" for row, clip in zip(rows, clips, strict=True) if not present[clip.source]
    ]
    if lost:
        right = "\n".join([*lost[:3], "paths start at data.params.root"])
        raise UserError(f"{params.path}: {len(lost)} of {len(rows)} clips have no file, such as", right)
