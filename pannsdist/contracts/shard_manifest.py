"""The manifest of a packed dataset: which clip is where in which tar shard, and the splits and folds that it had.

`pack.json` describes the pack and has the checksum of `clips.npz`, the table of files and clips. What is read is
checked before it is used: a manifest never leads outside of its shards.

Axes: M files, N clips, C classes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pannsdist.contracts.shard_columns import Array, Columns, check_ends, encode_columns, text_columns
from pannsdist.contracts.shard_events import PackedEvents, events_in
from pannsdist.contracts.tar_members import BLOCK_BYTES
from pannsdist.runtime.errors import BadDataset
from pannsdist.runtime.json_files import JsonFile

HEADER, TABLE = "pack.json", "clips.npz"
FORMAT, EVENTS_FORMAT = 1, 2
"""Of packs without events, and of those with them: what knows the first only must not read the second without them."""
MAX_HEADER_BYTES = 1 << 26
CHECKSUM_BYTES = 16
AS_PACKED = 0
"""The number of the division into the splits that the settings of the pack chose; folds are counted from 1."""


@dataclass(frozen=True)
class Shard:
    """A tar file, and its size."""

    name: str
    size_bytes: int


@dataclass(frozen=True, eq=False)
class PackedFiles:
    """The sound files: in which shard (M,) uint32, from which byte (M,) int64, of which size (M,) int64.

    `checksum` (M, 16) uint8 is the start of the SHA-256 of the content. `names` are those of the original files.
    """

    shard: Array
    offset: Array
    size: Array
    checksum: Array
    names: Sequence[str]


@dataclass(frozen=True, eq=False)
class PackedClips:
    """The clips: `file` (N,) uint32, `start_s` (N,) float64, and `duration_s` (N,) float64, NaN up to the end.

    The labels of clip n are `label_rows[label_ends[n - 1] : label_ends[n]]`, numbers of the dataset's labels.
    """

    ids: Sequence[str]
    file: Array
    label_ends: Array
    label_rows: Array
    groups: Sequence[str]
    start_s: Array
    duration_s: Array
    events: PackedEvents | None = None


@dataclass(frozen=True)
class PackHeader:
    """What `pack.json` says: `table_bytes` and `table_sha256` are those of `clips.npz`.

    `divisions` has by fold the splits in their order; fold 0 are the splits as packed. `has_events`: whether the table
    has the columns of events.
    """

    labels: tuple[str, ...]
    multi_label: bool
    files: int
    clips: int
    shards: tuple[Shard, ...]
    divisions: Mapping[int, tuple[str, ...]]
    table_bytes: int = 0
    table_sha256: str = ""
    has_events: bool = False

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds that were packed."""
        return tuple(fold for fold in self.divisions if fold != AS_PACKED)


@dataclass(frozen=True, eq=False)
class PackTable:
    """Files, clips, and by fold and split the rows of its clips in their order: (n,) uint32."""

    files: PackedFiles
    clips: PackedClips
    rows: Mapping[tuple[int, str], Array]


def encode_table(table: PackTable, divisions: Mapping[int, Sequence[str]]) -> bytes:
    """The content of `clips.npz`."""
    files, clips = table.files, table.clips
    columns = {
        **{f"file.{name}": getattr(files, name) for name in ("shard", "offset", "size", "checksum")},
        **text_columns("file.name", files.names),
        **text_columns("clip.id", clips.ids),
        **{f"clip.{name}": getattr(clips, name) for name in ("file", "label_ends", "label_rows")},
        **text_columns("clip.group", clips.groups),
        **{f"clip.{name}": getattr(clips, name) for name in ("start_s", "duration_s")},
        **(clips.events.columns if clips.events else {}),
    }
    for fold, splits in divisions.items():
        columns |= {_rows_name(fold, place): table.rows[fold, split] for place, split in enumerate(splits)}
    return encode_columns(columns)


def encode_header(header: PackHeader) -> bytes:
    """The content of `pack.json`, which has a checksum of its own."""
    pack = asdict(header) | {"divisions": {str(fold): list(splits) for fold, splits in header.divisions.items()}}
    if not pack["has_events"]:
        del pack["has_events"]
    content = {"format": EVENTS_FORMAT if header.has_events else FORMAT, "sha256": _digest(pack), "pack": pack}
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def read_header(raw: bytes, place: str, again: str) -> PackHeader:
    """The header out of the bytes of a `pack.json`, of which one more than `MAX_HEADER_BYTES` is enough.

    Raises BadDataset, which names the `place` and says `again` where it is damaged.
    """
    form = EVENTS_FORMAT if re.match(rb'\s*{\s*"format":\s*([2-9]|[1-9]\d+)\s*[,}]', raw) else FORMAT
    found = JsonFile(_header, BadDataset, again, form, MAX_HEADER_BYTES).parsed(raw, place)
    if found is None:
        raise BadDataset(f"{place} is damaged", again)
    return found


def _header(content: Mapping[str, Any]) -> PackHeader:
    pack = content["pack"]
    if content["sha256"] != _digest(pack):
        raise ValueError("it was changed after the dataset was packed: its checksum is another one")
    divisions = {int(fold): _texts(splits) for fold, splits in pack["divisions"].items()}
    shards = tuple(Shard(_plain_name(one["name"]), _count(one["size_bytes"])) for one in pack["shards"])
    counts = {name: _count(pack[name]) for name in ("files", "clips", "table_bytes")}
    if AS_PACKED not in divisions or len({shard.name for shard in shards}) < len(shards):
        raise ValueError("it has no splits, or one shard twice")
    return PackHeader(
        labels=_texts(pack["labels"]),
        multi_label=bool(pack["multi_label"]),
        shards=shards,
        divisions=divisions,
        table_sha256=str(pack["table_sha256"]),
        has_events=bool(pack.get("has_events")),
        **counts,
    )


def decode_table(raw: bytes, header: PackHeader, fold: int) -> PackTable:
    """The table of a pack, with the rows of one division. Raises ValueError for one that is not that of the header."""
    if len(raw) != header.table_bytes or hashlib.sha256(raw).hexdigest() != header.table_sha256:
        raise ValueError(f"it is not the table that {HEADER} names: it is damaged, or of another pack")
    columns = Columns(raw)
    count = header.files
    files = PackedFiles(
        columns.array("file.shard", "<u4", count),
        columns.array("file.offset", "<i8", count),
        columns.array("file.size", "<i8", count),
        columns.array("file.checksum", "|u1", count, CHECKSUM_BYTES),
        columns.texts("file.name", count),
    )
    _check_files(files, header.shards)
    clips = _clips(columns, header)
    rows = {(fold, split): columns.array(_rows_name(fold, place), "<u4") for place, split in _splits(header, fold)}
    if any(len(one) and int(one.max()) >= header.clips for one in rows.values()):
        raise ValueError("a split has clips that it does not list")
    return PackTable(files, clips, rows)


def _clips(columns: Columns, header: PackHeader) -> PackedClips:
    count = header.clips
    clips = PackedClips(
        columns.texts("clip.id", count),
        columns.array("clip.file", "<u4", count),
        columns.array("clip.label_ends", "<i8", count),
        columns.array("clip.label_rows", "<u4"),
        columns.texts("clip.group", count),
        columns.array("clip.start_s", "<f8", count),
        columns.array("clip.duration_s", "<f8", count),
        events_in(columns, count, len(header.labels)) if header.has_events else None,
    )
    check_ends(clips.label_ends, len(clips.label_rows), "clip.label_ends")
    for name, numbers, limit in (("file", clips.file, header.files), ("label", clips.label_rows, len(header.labels))):
        if len(numbers) and int(numbers.max()) >= limit:
            raise ValueError(f"a clip has {name} {int(numbers.max())}, but there are {limit}")
    return clips


def _check_files(files: PackedFiles, shards: Sequence[Shard]) -> None:
    """Raise ValueError for a file that does not lie in its shard, or on another one."""
    if not len(files.shard):
        return
    if int(files.shard.max()) >= len(shards):
        raise ValueError("a file lies in a shard that it does not list")
    ends = np.array([shard.size_bytes for shard in shards], np.int64)[files.shard]
    lies = (files.size < 0) | (files.offset < BLOCK_BYTES) | (files.offset > ends) | (files.size > ends - files.offset)
    order = np.lexsort((files.offset, files.shard))
    shard, offset, size = files.shard[order], files.offset[order], files.size[order]
    overlaps = (shard[1:] == shard[:-1]) & (offset[1:] - BLOCK_BYTES - offset[:-1] < size[:-1])
    for what, rows in (("outside of its shard", np.flatnonzero(lies)), ("on another file", order[1:][overlaps])):
        if len(rows):
            row = int(rows[0])
            place = f"{int(files.size[row])} bytes at byte {int(files.offset[row])} of {shards[files.shard[row]].name}"
            raise ValueError(f"file {row} lies {what}: {place}")


def _splits(header: PackHeader, fold: int) -> list[tuple[int, str]]:
    return list(enumerate(header.divisions[fold]))


def _rows_name(fold: int, place: int) -> str:
    return f"rows.{fold}.{place}"


def _digest(pack: Any) -> str:
    return hashlib.sha256(json.dumps(pack, sort_keys=True).encode()).hexdigest()


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError("a list of names is none")
    return tuple(values)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise ValueError("a number or a size is none")
    return value


def _plain_name(name: Any) -> str:
    """The name of a file beside the manifest. Raises ValueError for one that leads elsewhere."""
    if not isinstance(name, str) or not name or name.startswith(".") or set(name) & set("/\\\0"):
        raise ValueError("the name of a shard is not that of a file in the folder of the pack")
    return name
