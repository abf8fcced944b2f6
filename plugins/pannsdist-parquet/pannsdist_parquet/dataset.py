"""The dataset `parquet`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

from pannsdist.contracts import Clip, UserError, shown
from pannsdist.contracts.drawn_splits import draw_splits, drawn_folds, refuse_leaked_groups
from pannsdist.contracts.split_names import SPLITS
from pannsdist_parquet.layout import Found, find_tables
from pannsdist_parquet.params import ParquetParams, check
from pannsdist_parquet.rows import Row, rows_of

__all__ = ["Parquet"]


class Parquet:
    """Clips in Arrow or Parquet tables, as Hugging Face `datasets` writes them.

    `root` is a folder of Parquet files by split (`data/train-00000-of-00002.parquet`, `train/0000.parquet`), one of
    `save_to_disk`, one file, or a URL of a store with Parquet files. A sound is a struct of bytes and path, bytes, or a
    path relative to its table; a label is text, an integer with class names in the features or in `names`, or a list of
    either, which makes the dataset multi-label. Splits are those of the tables' names, of README.md or of a column, by
    `contracts.split_names` or `splits`; or folds, or drawn (`contracts.drawn_splits`): `valid_fraction` is taken from
    `train` where there is no `valid`. A clip's id is its column `id`, the path of its sound, or `TABLE#ROW`.

    Listing reads no sounds. They are read when a clip is: in Parquet with those of its row group.
    """

    Params: ClassVar[type] = ParquetParams
    fold_param: ClassVar[str] = "valid_fold"

    @classmethod
    def folds(cls, params: ParquetParams) -> tuple[int, ...]:
        """The folds to draw, or those of the column `fold`; empty if there are none."""
        check(params)
        if params.folds:
            return drawn_folds(params)
        rows, columns = rows_of(find_tables(params.root, params.config), params)
        return _folds_in(rows) if "fold" in columns.by_role else ()

    def __init__(self, params: ParquetParams) -> None:
        check(params)
        found = find_tables(params.root, params.config)
        rows, columns = rows_of(found, params)
        _refuse_repeated(rows, params)
        self.multi_label = columns.is_list
        self.labels: Sequence[str] = columns.names or _sorted_labels(rows, params)
        self._clips = _splits(found, rows, params)
        self.splits = tuple(split for split in SPLITS if self._clips.get(split))

    def clips(self, split: str) -> tuple[Clip, ...]:
        """Clips of one split, in the order of the tables; opens none."""
        if split not in self.splits:
            raise UserError(f"the dataset has no split {split!r}", f"splits: {', '.join(self.splits)}")
        return tuple(self._clips[split])


def _sorted_labels(rows: Sequence[Row], params: ParquetParams) -> tuple[str, ...]:
    """The labels of text: those of data.params.names, or all that occur, sorted."""
    labels = sorted({label for row in rows for label in row.labels})
    unknown = [label for label in labels if params.names and label not in params.names]
    if unknown:
        row = next(row for row in rows if unknown[0] in row.labels)
        raise UserError(f"{row.place}: unknown label {unknown[0]!r}", "data.params.names lists every label")
    return tuple(params.names or labels)


def _refuse_repeated(rows: Sequence[Row], params: ParquetParams) -> None:
    known: dict[str, Row] = {}
    for row in rows:
        first = known.setdefault(row.id, row)
        if first is not row:
            wrong = f"{row.place} has the id {row.id!r} of {first.place}"
            right = "if they are one sound, keep it once, in one split"
            if "id" not in params.columns and params.ids == "path":
                right += "\nif only their paths are alike: data.params.ids=row, or data.params.columns.id=COLUMN"
            raise UserError(wrong, right)


def _splits(found: Found, rows: Sequence[Row], params: ParquetParams) -> dict[str, list[Clip]]:
    """The clips by split: as the tables say, by fold, or drawn."""
    clips = [Clip(row.id, row.source, row.labels, row.start_s, row.duration_s, row.group) for row in rows]
    groups = {row.id: row.group or row.id for row in rows}
    named = Counter(row.split for row in rows)
    _refuse_fractions(rows, named, params)
    is_drawn = params.valid_fold if params.folds else params.valid_fraction and not params.valid_fold
    names = [row.split for row in rows] if is_drawn or not params.valid_fold else _names_by_fold(found, rows, params)
    splits: dict[str, list[Clip]] = {name: [] for name in ("", *SPLITS)}
    for clip, name in zip(clips, names, strict=True):
        splits[name].append(clip)
    if is_drawn:
        rest = [clip for clip, name in zip(clips, names, strict=True) if name != "test"]
        return draw_splits(rest, groups, params, splits["test"])
    _refuse_empty(found, splits, named)
    if params.group:
        refuse_leaked_groups(splits, groups)
    return splits


def _folds_in(rows: Sequence[Row]) -> tuple[int, ...]:
    return tuple(sorted({row.fold for row in rows} - {0}))


def _names_by_fold(found: Found, rows: Sequence[Row], params: ParquetParams) -> list[str]:
    """The split of each row by its fold; `test` stays."""
    folds = _folds_in(rows)
    if params.valid_fold not in folds or len(folds) < 2:
        wrong = f"data.params.valid_fold is {params.valid_fold}, which does not divide {shown(found.root)}"
        right = f"folds: {', '.join(map(str, folds)) or 'none, so draw them: data.params.folds=5'}"
        raise UserError(wrong, right)
    held_out = {True: "valid", False: "train"}
    return ["test" if row.split == "test" else held_out[row.fold == params.valid_fold] for row in rows]


def _refuse_fractions(rows: Sequence[Row], named: Counter[str], params: ParquetParams) -> None:
    """Raise UserError where only some rows have a split, and for a fraction of what the tables divide themselves."""
    if named[""] and len(named) > 1:
        row = next(row for row in rows if not row.split)
        wrong = f"{row.place}: nothing says its split, but others have one"
        raise UserError(wrong, "list those to use: data.params.splits.train=NAME, data.params.splits.valid=NAME")
    for key, split in (("valid_fraction", "valid"), ("test_fraction", "test")):
        if getattr(params, key) and (named[split] or (params.valid_fold and not params.folds)):
            wrong = f"data.params.{key} is {getattr(params, key)}, but the tables have the split {split}, or folds"
            raise UserError(wrong, "leave it out, or list the splits to use: data.params.splits.train=NAME")


def _refuse_empty(found: Found, splits: Mapping[str, Sequence[Clip]], named: Counter[str]) -> None:
    """Raise UserError where `train` or `valid` would have no clips."""
    missing = next((name for name in ("train", "valid") if not splits[name]), "")
    if missing:
        parts = ", ".join(f"{name or 'no split'} ({count})" for name, count in named.items())
        right = f"found: {parts}\nto hold out a fifth of every class: data.params.valid_fraction=0.2"
        right += "\nto say what is called how: data.params.splits.train=NAME, data.params.splits.valid=NAME"
        raise UserError(f"{shown(found.root)} has no clips in split {missing!r}", right)
