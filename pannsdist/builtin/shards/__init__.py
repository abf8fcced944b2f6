"""Dataset plugin `shards`: a dataset that `pannsdist data pack` wrote into tar files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, overload

import numpy as np

from pannsdist.builtin.shards.pack import Pack
from pannsdist.builtin.shards.sound import PackedSound
from pannsdist.contracts import EncodedSource, UserError, param
from pannsdist.contracts.clip_lists import ClipList, Ragged
from pannsdist.contracts.shard_manifest import AS_PACKED, PackedFiles

__all__ = ["PackedSound", "Shards", "ShardsParams"]


@dataclass(frozen=True)
class ShardsParams:
    """`root` is relative to the working directory, or a URL of a store (`contracts.locations`)."""

    root: str = param(doc="folder of the pack, relative to the working directory, or its URL")
    valid_fold: int = param(
        AS_PACKED, "fold of the valid split, of those that were packed; 0: the splits as packed", low=0
    )


class Shards:
    """The clips of a packed dataset: ids, labels, events, groups, segments, splits and folds are as it had them loose.

    Their order is the same, too, and every clip is read in place, so a run has the same bits as one on the loose files.
    With `valid_fold` 0 the splits are those that the settings of the pack chose.

    The manifest, the presence of all shards and their sizes are checked when the dataset is opened; each sound when it
    is first read (`PackedSound`). `pannsdist data check` compares every checksum.
    """

    Params: ClassVar[type] = ShardsParams
    fold_param: ClassVar[str] = "valid_fold"

    @classmethod
    def folds(cls, params: ShardsParams) -> tuple[int, ...]:
        """The folds that were packed; empty if the dataset had none."""
        return Pack(params.root).header().folds

    def __init__(self, params: ShardsParams) -> None:
        pack = Pack(params.root)
        header = pack.header()
        if params.valid_fold not in header.divisions:
            folds = ", ".join(map(str, header.folds))
            right = f"its folds: {folds}; 0: the splits as packed" if folds else "it was packed without folds: 0"
            raise UserError(f"data.params.valid_fold is {params.valid_fold}, which {pack.root} does not have", right)
        self.labels, self.multi_label = header.labels, header.multi_label
        self.splits = header.divisions[params.valid_fold]
        self._table, self._fold = pack.table(header, params.valid_fold), params.valid_fold
        self._shards = pack.shards(header)

    def clips(self, split: str) -> ClipList:
        """Clips of one split, in the order that they had when they were packed; opens no shard."""
        if split not in self.splits:
            raise UserError(f"the dataset has no split {split!r}", f"splits: {', '.join(self.splits)}")
        clips, rows = self._table.clips, self._table.rows[self._fold, split].astype(np.int64)
        lengths = np.diff(clips.label_ends, prepend=0)
        labels = Ragged.of_lengths(clips.label_rows.astype(np.int32), lengths).take(rows)
        events = clips.events.of_rows(rows) if clips.events else (None, None)
        durations_s, groups = clips.duration_s[rows], [clips.groups[row] for row in rows.tolist()]
        return ClipList(
            [clips.ids[row] for row in rows.tolist()],
            _Sounds(self._table.files, self._shards, clips.file[rows]),
            self.labels,
            labels,
            clips.start_s[rows] if clips.start_s[rows].any() else None,
            None if np.isnan(durations_s).all() else durations_s,
            groups if any(groups) else None,
            *events,
        )


@dataclass(frozen=True, eq=False)
class _Sounds(Sequence[PackedSound]):
    """The sound files of clips, by their numbers (N,); one is made when it is taken."""

    files: PackedFiles
    shards: Sequence[Path | EncodedSource]
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> PackedSound: ...
    @overload
    def __getitem__(self, index: slice) -> _Sounds: ...
    def __getitem__(self, index: int | slice) -> PackedSound | _Sounds:
        if isinstance(index, slice):
            return _Sounds(self.files, self.shards, self.numbers[index])
        files, number = self.files, int(self.numbers[index])
        return PackedSound(
            self.shards[files.shard[number]],
            number,
            files.names[number],
            int(files.offset[number]),
            int(files.size[number]),
            files.checksum[number].tobytes(),
        )
