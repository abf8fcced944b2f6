"""What is packed: the clips of a dataset, and every way in which it divides them into splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.contracts import Clip, EncodedSource
from pannsdist.contracts.shard_manifest import AS_PACKED
from pannsdist.registry import Catalog
from pannsdist.run.planning.data import Data, load_data
from pannsdist.run.planning.folds import fold_param_and_folds
from pannsdist.run.planning.selection import choose_dataset
from pannsdist.runtime.errors import BadDataset
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import DataSettings

OTHER = "of folds"
"""In place of the split of a file that no split of the settings has, but one of a fold."""


@dataclass(frozen=True)
class Inventory:
    """The clips of a dataset, each once, and the files that they are of, each once, in the order of the splits.

    `rows` (n,) are the clips of a division and split in their order. `clips_of` are the rows of the clips of a file,
    and `split_of` is the first split that uses it.
    """

    labels: tuple[str, ...]
    multi_label: bool
    clips: list[Clip] = field(default_factory=list)
    file_of: list[int] = field(default_factory=list)
    clips_of: list[list[int]] = field(default_factory=list)
    split_of: list[str] = field(default_factory=list)
    rows: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)
    divisions: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def source(self, file: int) -> Any:
        """What the file is read from."""
        return self.clips[self.clips_of[file][0]].source

    def without(self, files: set[int]) -> Inventory:
        """The same without some files and their clips."""
        if not files:
            return self
        left = _Collector(self.labels, self.multi_label)
        for fold, splits in self.divisions.items():
            kept = {
                split: [row for row in self.rows[fold, split] if self.file_of[row] not in files] for split in splits
            }
            left.add(fold, {split: [self.clips[row] for row in rows] for split, rows in kept.items()})
        return left.found


def take_inventory(chosen: DataSettings, origin: SettingsOrigin, catalog: Catalog, splits: Sequence[str]) -> Inventory:
    """The splits of a dataset as the settings choose them, and those of each of its folds; with `splits` these alone.

    Raises BadDataset as `load_data` does.
    """
    data = load_data(choose_dataset(chosen, origin, catalog), splits)
    collector = _Collector(data.labels, data.multi_label)
    collector.add_data(AS_PACKED, data)
    if splits:
        return collector.found
    param, folds = fold_param_and_folds(chosen, origin, catalog)
    for fold in folds:
        of_fold = replace(chosen, params={**chosen.params, param: fold})
        collector.add_data(fold, load_data(choose_dataset(of_fold, origin, catalog)))
    return collector.found


def inventory_of(labels: tuple[str, ...], multi_label: bool, splits: Mapping[str, Sequence[Clip]]) -> Inventory:
    """The clips of splits that no plugin has listed."""
    collector = _Collector(labels, multi_label)
    collector.add(AS_PACKED, splits)
    return collector.found


class _Collector:
    """Numbers clips and files as they are met."""

    def __init__(self, labels: tuple[str, ...], multi_label: bool) -> None:
        self.found = Inventory(labels, multi_label)
        self._rows: dict[tuple[Any, ...], int] = {}
        self._files: dict[Any, int] = {}

    def add_data(self, fold: int, data: Data) -> None:
        """Add a division. Raises BadDataset for one that no other division can stand beside."""
        if data.labels != self.found.labels or (fold in self.found.divisions or fold < AS_PACKED):
            wrong = f"fold {fold} of dataset {data.part} has other labels than its splits, or no number of its own"
            raise BadDataset(wrong, "--split train --split valid packs the splits alone, without folds")
        self.add(fold, {split: table.clips for split, table in data.splits.items()})

    def add(self, fold: int, splits: Mapping[str, Sequence[Clip]]) -> None:
        """Add a division."""
        self.found.divisions[fold] = tuple(splits)
        for split, clips in splits.items():
            rows = [self._row(clip, split if fold == AS_PACKED else OTHER) for clip in clips]
            self.found.rows[fold, split] = np.array(rows, np.uint32)

    def _row(self, clip: Clip, split: str) -> int:
        has_name = isinstance(clip.source, Path | EncodedSource)
        said = clip.labels, clip.start_s, clip.duration_s, clip.group, clip.events, clip.is_labelled
        key = clip.id, clip.source if has_name else None, *said
        row = self._rows.setdefault(key, len(self.found.clips))
        if row == len(self.found.clips):
            # Samples have no name, and may be equal to others: one object is one file, and lives on in `found`
            file = self._files.setdefault(clip.source if has_name else id(clip.source), len(self._files))
            if file == len(self.found.clips_of):
                self.found.clips_of.append([])
                self.found.split_of.append(split)
            self.found.clips_of[file].append(row)
            self.found.file_of.append(file)
            self.found.clips.append(clip)
        return row
