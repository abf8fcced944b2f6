"""Where each file comes to lie, known before the first byte is written: any number of workers write the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from pannsdist.contracts.shard_manifest import Shard
from pannsdist.contracts.tar_members import BLOCK_BYTES, END_BYTES, padded
from pannsdist.run.packing.divisions import Inventory


@dataclass(frozen=True)
class Layout:
    """The shards, and the files' places in them: `shard` (M,) and `offset` (M,) of the content.

    `size` (M,) and `sidecar` (M,) are the bytes of each file and of the JSON beside it.
    """

    shards: tuple[Shard, ...]
    shard: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    sidecar: np.ndarray

    @property
    def total_bytes(self) -> int:
        """The size of all shards."""
        return sum(shard.size_bytes for shard in self.shards)

    def runs(self, at_least_bytes: int, at_most: int) -> Iterator[range]:
        """Files that lie one behind the other in one shard: so many bytes together, but not more than so many files."""
        start, size = 0, 0
        for file in range(len(self.shard)):
            if file > start and (
                self.shard[file] != self.shard[start] or size >= at_least_bytes or file - start >= at_most
            ):
                yield range(start, file)
                start, size = file, 0
            size += int(self.size[file])
        if len(self.shard):
            yield range(start, len(self.shard))


def lay_out(inventory: Inventory, sizes: Sequence[int], limit_bytes: int) -> Layout:
    """Files of these sizes in shards of at most `limit_bytes`, a file above it in one of its own; in their order.

    A shard holds files of one split, so that readers of webdataset can choose by name.
    """
    sidecars = [len(sidecar(inventory, file)) for file in range(len(sizes))]
    shards: list[Shard] = []
    place, offset = np.zeros(len(sizes), np.uint32), np.zeros(len(sizes), np.int64)
    stems = _stems(dict.fromkeys(inventory.split_of))
    for split, files in groupby(range(len(sizes)), key=lambda file: inventory.split_of[file]):
        number, end = 0, 0
        for file in files:
            entry = 2 * BLOCK_BYTES + padded(sizes[file]) + padded(sidecars[file])
            if end and end + entry + END_BYTES > limit_bytes:
                shards.append(Shard(f"{stems[split]}-{number:06d}.tar", end + END_BYTES))
                number, end = number + 1, 0
            place[file], offset[file] = len(shards), end + BLOCK_BYTES
            end += entry
        shards.append(Shard(f"{stems[split]}-{number:06d}.tar", end + END_BYTES))
    return Layout(tuple(shards), place, offset, np.array(sizes, np.int64), np.array(sidecars, np.int64))


def sidecar(inventory: Inventory, file: int) -> bytes:
    """The JSON beside a file: its clip, or `clips` where it has several."""
    clips = [_described(inventory, row) for row in inventory.clips_of[file]]
    content = clips[0] if len(clips) == 1 else {"clips": clips}
    return (json.dumps(content, ensure_ascii=False) + "\n").encode()


def _described(inventory: Inventory, row: int) -> dict[str, object]:
    """A clip for readers other than this package: `classes` are the places of its labels in the dataset's list."""
    clip = inventory.clips[row]
    classes = [inventory.labels.index(label) for label in clip.labels]
    described: dict[str, object] = {"id": clip.id, "labels": list(clip.labels), "classes": classes, "group": clip.group}
    described |= {"start_s": clip.start_s, "duration_s": clip.duration_s}
    if clip.events is not None:
        described["events"] = [
            {"onset_s": event.onset_s, "offset_s": event.offset_s, "label": event.label} for event in clip.events
        ]
    return described if clip.is_labelled else described | {"is_labelled": False}


def _stems(splits: Iterable[str]) -> dict[str, str]:
    """How the names of shards start: with the split where that can be part of a file name, else with a number."""
    stems: dict[str, str] = {}
    for place, split in enumerate(splits):
        stem = split if re.fullmatch("[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", split) else f"split{place}"
        while stem in stems.values():
            stem += "_"
        stems[split] = stem
    return stems
