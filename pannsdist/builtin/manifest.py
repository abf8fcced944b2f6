"""Dataset plugin `manifest`: clips listed in a CSV or JSON lines file."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from pannsdist.contracts import Clip, UserError, param, path_of, shown
from pannsdist.contracts.file_lookup import REAL_FOLDER, FileLookup, is_file, is_folder, leads_out
from pannsdist.contracts.tables import Row, csv_rows, json_rows, lines_of, read_text

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class ManifestParams:
    """`path`, `root` and `labels` are relative to the working directory."""

    path: str = param(doc="manifest file: .csv, .jsonl or .json")
    root: str = param("", "folder that paths in the manifest are relative to; empty: folder of the manifest")
    valid_fold: int = param(0, "fold of the valid split; 0: use the column split")
    multi_label: bool = param(False, "whether a clip may have several labels")
    label_separator: str = param(";", "separator between labels")
    labels: str = param("", "text file with one label per line, in output order; empty: sorted labels")


class Manifest:
    """Clips listed in a UTF-8 table: CSV with a header (.csv) or one JSON object per line (.jsonl, .json).

    Columns: `path`, relative to the root, with slashes; `label` or `labels` (in JSON a string or a list of strings);
    and `split` (train, valid or test) or `fold` (counted from 1). With `valid_fold` 0 the column `split` is used;
    otherwise that fold is `valid` and the others are `train`. Optional columns: `start` and `duration` in seconds of a
    segment of the file; `id`, which defaults to the path, with `#start` appended if a start is given. Other columns are
    ignored.

    A file whose name on disk has another Unicode normal form, as on macOS, is found.

    With `multi_label`, labels are split at `label_separator` and may be empty. `labels` is a text file with one label
    per line, in the order of the network's outputs; without it labels are sorted.
    """

    Params: ClassVar[type] = ManifestParams
    fold_param: ClassVar[str] = "valid_fold"

    @classmethod
    def folds(cls, params: ManifestParams) -> tuple[int, ...]:
        """The folds of the table; empty without a column `fold`."""
        rows = _read_rows(path_of(params.path), 0)
        return tuple(sorted({_fold(row) for row in rows})) if all("fold" in row.cells for row in rows) else ()

    def __init__(self, params: ManifestParams) -> None:
        if not params.label_separator:
            raise UserError("data.params.label_separator is empty", "it is at least one character, such as ';'")
        path = path_of(params.path)
        root = path_of(params.root) if params.root else path.parent
        if not is_folder(root):
            raise UserError(
                f"{root} is not a folder (data.params.root)",
                "give the folder that the paths in the manifest are relative to",
            )
        known = _read_labels(path_of(params.labels)) if params.labels else ()
        rows = _read_rows(path, params.valid_fold)
        clips = _present(path, rows, [_clip(row, root, params) for row in rows], root)
        splits = _splits(path, rows, params.valid_fold)
        self.multi_label = params.multi_label
        self.labels = known or tuple(sorted({label for clip in clips for label in clip.labels}))
        self.splits = tuple(name for name in SPLITS if name in splits)
        _check(rows, clips, self.labels, params)
        self._clips: dict[str, list[Clip]] = {name: [] for name in self.splits}
        for clip, split in zip(clips, splits, strict=True):
            self._clips[split].append(clip)

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
        row.refuse(f"path {row.text('path')!r} is a link that leads out of {root}", REAL_FOLDER)


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


def _read_rows(path: Path, valid_fold: int) -> list[Row]:
    readers = {".csv": csv_rows, ".jsonl": json_rows, ".json": json_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path} (data.params.path) is not a manifest", f"supported suffixes: {', '.join(readers)}")
    rows = reader(path, key="data.params.path")
    if not rows:
        raise UserError(f"{path} (data.params.path) lists no clips", "add a line for each clip")
    for row in rows if reader is json_rows else rows[:1]:
        _check_columns(row, valid_fold)
    return rows


def _check_columns(row: Row, valid_fold: int) -> None:
    for names in (("path",), ("label", "labels"), ("fold",) if valid_fold else ("split", "fold")):
        if not any(name in row.cells for name in names):
            right = f"columns found: {', '.join(row.cells)} (data.params.valid_fold is {valid_fold})"
            row.refuse(f"no column {' or '.join(map(repr, names))}", right)
    if "label" in row.cells and "labels" in row.cells:
        row.refuse("both columns 'label' and 'labels'", "keep one, or rename the other")


def _splits(path: Path, rows: list[Row], valid_fold: int) -> list[str]:
    """Split of every row. Raises UserError if `train` or `valid` would be empty."""
    if not valid_fold and all("split" in row.cells for row in rows):
        splits = [row.text("split") for row in rows]
        for row, split in zip(rows, splits, strict=True):
            if split not in SPLITS:
                row.refuse(f"unknown split {split!r}", f"splits: {', '.join(SPLITS)}")
        for needed in ("train", "valid"):
            if needed not in splits:
                raise UserError(f"{path} has no clip in split {needed!r}", f"found: {', '.join(sorted(set(splits)))}")
        return splits
    folds = [_fold(row) for row in rows]
    if valid_fold not in folds or len(set(folds)) < 2:
        wrong = f"data.params.valid_fold is {valid_fold}, which does not divide {path}"
        raise UserError(wrong, f"folds: {str(sorted(set(folds)))[1:-1]}; one becomes 'valid', the others 'train'")
    return ["valid" if fold == valid_fold else "train" for fold in folds]


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
