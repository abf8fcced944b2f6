"""Files into shards: each task writes some files, one behind the other, to where the layout has placed them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pannsdist.contracts import Clip
from pannsdist.contracts.shard_manifest import CHECKSUM_BYTES
from pannsdist.contracts.tar_members import member_header, member_key, member_name, padded
from pannsdist.run.packing.files import changed, content
from pannsdist.runtime import storage

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class PackedFile:
    """The file `number` of a pack: a clip of it, its name and size, and the JSON to be written beside it."""

    number: int
    clip: Clip
    name: str
    size_bytes: int
    sidecar: bytes


@dataclass(frozen=True)
class WriteTask:
    """Files to be written into a shard from byte `start` on."""

    shard: Path
    start: int
    files: tuple[PackedFile, ...]


def write(task: WriteTask) -> list[bytes]:
    """Write the files of a task; the checksum of each. Runs in a worker. Raises BadDataset, CannotRead, CannotWrite."""
    with storage.opened(task.shard, "r+b") as shard:
        writer = _Writer(task.shard, shard)
        shard.seek(task.start)
        checksums = [_write(writer, file) for file in task.files]
        with storage.writing(task.shard):
            shard.flush()
    return checksums


class _Writer:
    """An open shard, whose errors of writing are told apart from those of reading."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path, self._file = path, file

    def write(self, raw: bytes) -> None:
        with storage.writing(self._path):
            self._file.write(raw)


def _write(shard: _Writer, file: PackedFile) -> bytes:
    digest, left = hashlib.sha256(), file.size_bytes
    shard.write(member_header(member_name(file.number, file.name), file.size_bytes))
    with content(file.clip) as source:
        while block := source.read(BLOCK_BYTES):
            left -= len(block)
            if left < 0:
                raise changed(file.clip)
            digest.update(block)
            shard.write(block)
    if left:
        raise changed(file.clip)
    shard.write(bytes(padded(file.size_bytes) - file.size_bytes))
    shard.write(member_header(member_key(file.number, file.name) + ".json", len(file.sidecar)))
    shard.write(file.sidecar + bytes(padded(len(file.sidecar)) - len(file.sidecar)))
    return digest.digest()[:CHECKSUM_BYTES]
