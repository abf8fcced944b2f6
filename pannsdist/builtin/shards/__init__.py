"""Dataset plugin `shards`: a dataset that `pannsdist data pack` wrote into tar files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pannsdist.builtin.shards.pack import Pack
from pannsdist.builtin.shards.sound import PackedSound
from pannsdist.contracts import Clip, UserError, param
from pannsdist.contracts.shard_manifest import AS_PACKED, PackTable

__all__ = ["PackedSound", "Shards", "ShardsParams"]


@dataclass(frozen=True)
class ShardsParams:
    """`root` is relative to the working directory, or a URL of a store (`contracts.locations`)."""

    root: str = param(doc="folder of the pack, relative to the working directory, or its URL")
    valid_fold: int = param(
        AS_PACKED, "fold of the valid split, of those that were packed; 0: the splits as packed", low=0
    )


class Shards:
    """The clips of a packed dataset: ids, labels, groups, segments, splits and folds are those that it had loose.

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
        self._sounds: dict[int, PackedSound] = {}
        self._clips: dict[str, tuple[Clip, ...]] = {}

    def clips(self, split: str) -> tuple[Clip, ...]:
        """Clips of one split, in the order that they had when they were packed; opens no shard."""
        if split not in self.splits:
            raise UserError(f"the dataset has no split {split!r}", f"splits: {', '.join(self.splits)}")
        if split not in self._clips:
            self._clips[split] = tuple(self._made(self._table, self._table.rows[self._fold, split]))
        return self._clips[split]

    def _made(self, table: PackTable, rows: np.ndarray) -> Iterator[Clip]:
        clips, names = table.clips, np.array(self.labels, object)[table.clips.label_rows]
        first = np.concatenate([[0], clips.label_ends[:-1]])[rows].tolist()
        columns = (clips.file, clips.label_ends, clips.start_s, clips.duration_s)
        for row, at, file, end, start_s, duration_s in zip(
            rows.tolist(), first, *(column[rows].tolist() for column in columns), strict=True
        ):
            length_s = None if math.isnan(duration_s) else duration_s
            labels = tuple(names[at:end])
            yield Clip(clips.ids[row], self._sound(file), labels, start_s, length_s, clips.groups[row])

    def _sound(self, number: int) -> PackedSound:
        """The sound file of this number; the same object for all clips of it."""
        if number not in self._sounds:
            files = self._table.files
            self._sounds[number] = PackedSound(
                self._shards[files.shard[number]],
                number,
                files.names[number],
                int(files.offset[number]),
                int(files.size[number]),
                files.checksum[number].tobytes(),
            )
        return self._sounds[number]
