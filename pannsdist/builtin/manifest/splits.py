"""The splits of a manifest: of its columns, or drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pannsdist.builtin.manifest.params import ManifestParams
from pannsdist.builtin.manifest.reading import fold_of, split_of
from pannsdist.contracts import Clip, UserError, shown
from pannsdist.contracts.clip_lists import ClipList, Files
from pannsdist.contracts.drawn_splits import draw_splits, refuse_leaked_groups
from pannsdist.contracts.locations import Location, below
from pannsdist.contracts.name_patterns import NamePattern, groups_by_pattern
from pannsdist.contracts.split_names import SPLITS, split_named
from pannsdist.contracts.tables import Table


def split_clips(root: Location, table: Table, clips: ClipList, params: ManifestParams) -> dict[str, Sequence[Clip]]:
    """The non-empty splits, as the columns say or drawn. Raises UserError."""
    has_split, has_fold = (column in table[0].cells for column in ("split", "fold"))
    is_drawn = bool(params.folds and params.valid_fold) or not (has_split or has_fold)
    groups = _groups(root, table, clips, params) if is_drawn or params.group else []
    if params.group:
        clips = replace(clips, groups=groups)
    of_clip = dict(zip(clips.ids, groups, strict=True)) if groups else {}
    if is_drawn:
        is_test = np.array([has_split and split_named(name) == "test" for name in table.texts("split")])
        rest, tests = clips.take(np.flatnonzero(~is_test)), clips.take(np.flatnonzero(is_test))
        return dict(draw_splits(rest, of_clip, params, tests))
    numbers = _splits_of_columns(table, params.valid_fold)
    splits: dict[str, Sequence[Clip]] = {
        name: clips.take(rows) for number, name in enumerate(SPLITS) if len(rows := np.flatnonzero(numbers == number))
    }
    if params.group:
        refuse_leaked_groups(splits, of_clip)
    return splits


def _groups(root: Location, table: Table, clips: ClipList, params: ManifestParams) -> list[str]:
    """The group of each clip: of a column, of a pattern, or its file, by its name in the root, wherever that is."""
    column = params.group
    lacking = next((row for row in table.examples if column not in row.cells), None)
    if not column:
        groups = list(file_names(root, clips.sources))
    elif lacking is None:
        groups = table.texts(column)
        if not all(groups):
            groups = [row.required(column) for row in table]
    elif "(" in column:
        groups = groups_by_pattern(NamePattern(column, "data.params.group"), table.texts("path"))
    else:
        right = f"columns found: {', '.join(lacking.cells)}; "
        right += "or a pattern of the path with the group in parentheses, as (*)_*"
        lacking.refuse(f"no column {column!r} (data.params.group)", right)
    return [shown(group) for group in groups]


def file_names(root: Location, sources: Sequence[Any]) -> Sequence[str]:
    """The file of each clip, relative to the root, with slashes."""
    return sources.names if isinstance(sources, Files) else [str(below(source.url, root)) for source in sources]


def _splits_of_columns(table: Table, valid_fold: int) -> np.ndarray:
    """The split of every row, (N,) numbers of `SPLITS`. Raises UserError if `train` or `valid` would be empty."""
    texts = table.texts("split")
    if not valid_fold and "split" in table[0].cells:
        named = {text: split_named(text) or split_of(table[texts.index(text)]) for text in dict.fromkeys(texts)}
        for needed in ("train", "valid"):
            if needed not in named.values():
                found = ", ".join(sorted(set(named.values())))
                raise UserError(f"{table[0].file} has no clip in split {needed!r}", f"found: {found}")
        return np.array([SPLITS.index(named[text]) for text in texts], np.int8)
    folds = [0 if split_named(text) == "test" else fold_of(row) for text, row in zip(texts, table, strict=True)]
    found_folds = sorted(set(folds) - {0})
    if valid_fold not in found_folds or len(found_folds) < 2:
        wrong = f"data.params.valid_fold is {valid_fold}, which does not divide {table[0].file}"
        raise UserError(wrong, f"folds: {str(found_folds)[1:-1]}; one becomes 'valid', the others 'train'")
    names = {valid_fold: "valid", 0: "test"}
    return np.array([SPLITS.index(names.get(fold, "train")) for fold in folds], np.int8)
