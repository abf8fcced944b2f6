"""Packs a dataset: its files are looked at, placed, written by worker processes, and listed in the manifest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pannsdist.audio.loader import Loader
from pannsdist.contracts.shard_events import packed_events
from pannsdist.contracts.shard_manifest import (
    HEADER,
    TABLE,
    PackedClips,
    PackedFiles,
    PackHeader,
    PackTable,
    encode_header,
    encode_table,
)
from pannsdist.contracts.tar_members import BLOCK_BYTES
from pannsdist.run import new_folder
from pannsdist.run.packing.divisions import Inventory
from pannsdist.run.packing.files import Measured, file_name, measure
from pannsdist.run.packing.layout import Layout, lay_out, sidecar
from pannsdist.run.packing.writing import PackedFile, WriteTask, write
from pannsdist.runtime import outputs, reading, storage
from pannsdist.runtime.errors import BadDataset, CannotWrite, shell_command
from pannsdist.runtime.names import shown

MEASURED_AT_ONCE, WRITTEN_AT_ONCE = 16, 256
"""Files per task of a worker."""
WRITTEN_BYTES = 1 << 23
NAMED = 5

Bar = Callable[[str, int], AbstractContextManager[Callable[[int], object]]]
"""A progress bar: called with what is done and how many files there are; then with the number of files done."""


@dataclass(frozen=True)
class Pack:
    """A written pack; `left_out` are the messages of bad clips that were skipped."""

    folder: Path
    header: PackHeader
    total_bytes: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class PackOrder:
    """Where to pack, into shards of which size, with how many workers, and whether bad clips are left out."""

    output: Path
    shard_bytes: int
    workers: int
    skip_bad: bool
    bar: Bar


def refuse_output(output: Path) -> None:
    """Raise CannotWrite for a folder that cannot be written, or that is not empty: it is never replaced."""
    outputs.require_folder(output, "-o")
    if reading.names_in(output):
        right = "a pack is written into a new folder; give another one, or remove this one first"
        raise CannotWrite(f"-o {output} exists, and is not empty", right, shell_command("ls", output))


def pack(inventory: Inventory, order: PackOrder) -> Pack:
    """Write a new folder with shards and manifest; all of it, or nothing.

    Raises BadDataset for clips that are no whole sounds, unless they are left out, and for files that change
    meanwhile; CannotRead; CannotWrite; BadRunFolder where another process packs into the same folder.
    """
    output = Path(os.path.abspath(order.output))  # noqa: PTH100 - a link is kept
    with new_folder.locked(output, "packing"):
        refuse_output(output)
        loader = Loader(order.workers)
        try:
            measured = _measured(inventory, loader, order.bar)
            kept, left_out = _without_bad(inventory, measured, order.skip_bad)
            sizes = [one.size_bytes for one in measured if not one.fault]
            layout = lay_out(kept, sizes, order.shard_bytes)
            new_folder.refuse_full_disk(output, layout.total_bytes, "shards")
            headers: list[PackHeader] = []
            storage.write_folder_atomic(
                output, lambda folder: headers.append(_fill(folder, kept, layout, loader, order))
            )
        finally:
            loader.close()
    return Pack(output, headers[0], layout.total_bytes, left_out)


def _measured(inventory: Inventory, loader: Loader, bar: Bar) -> list[Measured]:
    firsts = [inventory.clips[rows[0]] for rows in inventory.clips_of]
    parts = [tuple(firsts[at : at + MEASURED_AT_ONCE]) for at in range(0, len(firsts), MEASURED_AT_ONCE)]
    found: list[Measured] = []
    with bar("looked at", len(firsts)) as progress:
        for part in loader.map(measure, parts):
            found += part
            progress(len(part))
    return found


def _without_bad(inventory: Inventory, measured: Sequence[Measured], skip: bool) -> tuple[Inventory, tuple[str, ...]]:
    """The files that are whole sounds, and why the others are not. Raises BadDataset unless these are skipped."""
    bad = {file: one.fault for file, one in enumerate(measured) if one.fault}
    faults = tuple(bad.values())
    if bad and not skip:
        more = f"\nand {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        right = "\n".join([*faults[:NAMED]]) + more
        right += "\nrepair or remove them, or set data.on_bad_clip=skip to leave them out; data check lists all"
        raise BadDataset(f"{len(bad)} of {len(measured)} files are no whole sounds: nothing was packed", right)
    kept = inventory.without(set(bad))
    empty = [split for (_, split), rows in kept.rows.items() if not len(rows)]
    if empty:
        raise BadDataset(
            f"without the clips that cannot be used, split '{empty[0]}' is empty", "\n".join(faults[:NAMED])
        )
    return kept, faults


def _fill(folder: Path, inventory: Inventory, layout: Layout, loader: Loader, order: PackOrder) -> PackHeader:
    """Write shards and manifest into a folder."""
    for shard in layout.shards:
        with storage.opened(folder / shard.name, "xb") as file, storage.writing(folder / shard.name):
            file.truncate(shard.size_bytes)
    checksums: list[bytes] = []
    with order.bar("packed", len(layout.size)) as progress:
        for found in loader.map(write, _tasks(folder, inventory, layout)):
            checksums += found
            progress(len(found))
    packed = _table(inventory, layout, checksums)
    table = encode_table(packed, inventory.divisions)
    header = PackHeader(
        labels=inventory.labels,
        multi_label=inventory.multi_label,
        files=len(layout.size),
        clips=len(inventory.clips),
        shards=layout.shards,
        divisions=inventory.divisions,
        has_events=packed.clips.events is not None,
    )
    header = replace(header, table_bytes=len(table), table_sha256=hashlib.sha256(table).hexdigest())
    storage.write_file(folder / TABLE, table)
    storage.write_file(folder / HEADER, encode_header(header))
    return header


def _tasks(folder: Path, inventory: Inventory, layout: Layout) -> Iterator[WriteTask]:
    for files in layout.runs(WRITTEN_BYTES, WRITTEN_AT_ONCE):
        first = files[0]
        shard = folder / layout.shards[layout.shard[first]].name
        packed = tuple(_file(inventory, layout, file) for file in files)
        yield WriteTask(shard, int(layout.offset[first]) - BLOCK_BYTES, packed)


def _file(inventory: Inventory, layout: Layout, file: int) -> PackedFile:
    clip = inventory.clips[inventory.clips_of[file][0]]
    return PackedFile(file, clip, shown(file_name(clip)), int(layout.size[file]), sidecar(inventory, file))


def _table(inventory: Inventory, layout: Layout, checksums: Sequence[bytes]) -> PackTable:
    clips, numbers = inventory.clips, {label: number for number, label in enumerate(inventory.labels)}
    names = [shown(file_name(clips[rows[0]])) for rows in inventory.clips_of]
    summed = np.frombuffer(b"".join(checksums), np.uint8).reshape(len(checksums), -1)
    durations = [np.nan if clip.duration_s is None else clip.duration_s for clip in clips]
    return PackTable(
        PackedFiles(layout.shard, layout.offset, layout.size, summed, names),
        PackedClips(
            [clip.id for clip in clips],
            np.array(inventory.file_of, np.uint32),
            np.cumsum([len(clip.labels) for clip in clips], dtype=np.int64),
            np.array([numbers[label] for clip in clips for label in clip.labels], np.uint32),
            [shown(clip.group) for clip in clips],
            np.array([clip.start_s for clip in clips], np.float64),
            np.array(durations, np.float64),
            packed_events(clips, numbers),
        ),
        inventory.rows,
    )
