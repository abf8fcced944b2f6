"""A sound in a tar shard, read in place: by its offset, without a look at what precedes it."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pannsdist.contracts import EncodedSource, SourceState, shown
from pannsdist.contracts.shard_manifest import CHECKSUM_BYTES
from pannsdist.contracts.tar_members import BLOCK_BYTES, member_header, member_name

WHOLE_BYTES = 1 << 20
"""A sound of at most this size is read at once, and its checksum compared when a process first reads it."""
BUFFER_BYTES = 1 << 16
OTHER_SUM = "the checksum of its content is another one"
REMEMBERED = 1 << 16
"""Sounds that a process remembers to have verified."""

_verified: set[tuple[object, ...]] = set()
_last: dict[bytes, bytes] = {}
"""The verified content of the last short sound by its checksum: a sound that is new is opened several times."""


@dataclass(frozen=True)
class PackedSound(EncodedSource):
    """The sound file `number` of a pack: `size_bytes` from byte `offset` of a shard, a tar file or one in a store.

    Before its content is used, the header of its member is compared with what the manifest says, and the checksum of a
    short one: a shard that is cut short, damaged or of another pack raises OSError, which ends a run. So does one that
    is gone, unlike a missing file among loose ones: it holds thousands of clips.
    """

    shard: Path | EncodedSource
    number: int
    file: str
    offset: int
    size_bytes: int
    checksum: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """`SHARD:FILE`, with the name that the file had before it was packed."""
        return f"{_name(self.shard)}:{self.file}"

    def state(self) -> SourceState:
        """Its size, and the checksum of its content. Reads nothing."""
        return SourceState(self.size_bytes, self.checksum.hex())

    def open(self) -> BinaryIO:
        """Its bytes; the shard is opened for it, unless it was the last one. Raises OSError."""
        content = _last.get(self.checksum)
        return self._open() if content is None or len(content) != self.size_bytes else io.BytesIO(content)

    def _open(self) -> BinaryIO:
        try:
            file = self.shard.open("rb", buffering=0) if isinstance(self.shard, Path) else self.shard.open()
        except (FileNotFoundError, PermissionError) as error:
            raise OSError(errno.EIO, f"the shard cannot be opened: {error.strerror}") from error
        try:
            return self._opened(file)
        except BaseException:
            file.close()
            raise

    def damage(self) -> str:
        """Why the member is not what the manifest says; empty if it is. Reads all of it. Raises OSError."""
        digest = hashlib.sha256()
        try:
            with self._open() as file:
                while block := file.read(WHOLE_BYTES):
                    digest.update(block)
        except OSError as error:
            if error.errno != errno.EBADMSG:
                raise
            return str(error.strerror)
        return "" if digest.digest()[:CHECKSUM_BYTES] == self.checksum else str(_damaged(OTHER_SUM).strerror)

    def _opened(self, file: BinaryIO) -> BinaryIO:
        known = (_name(self.shard), *_status(file), self.offset, self.size_bytes, self.checksum)
        is_whole = self.size_bytes <= WHOLE_BYTES
        if known not in _verified:
            self._refuse_header(_read(file, self.offset - BLOCK_BYTES, BLOCK_BYTES))
        if not is_whole:
            _remember(known)
            return io.BufferedReader(_Part(file, self.offset, self.size_bytes), BUFFER_BYTES)
        content = _read(file, self.offset, self.size_bytes)
        if known not in _verified and hashlib.sha256(content).digest()[:CHECKSUM_BYTES] != self.checksum:
            raise _damaged(OTHER_SUM)
        _remember(known)
        _last.clear()
        _last[self.checksum] = content
        file.close()
        return io.BytesIO(content)

    def _refuse_header(self, found: bytes) -> None:
        """Raise OSError where the member is another one, no regular file, or of another size."""
        name = member_name(self.number, self.file)
        if found != member_header(name, self.size_bytes):
            raise _damaged(f"at byte {self.offset} there is no file {name} of {self.size_bytes} bytes")


class _Part(io.RawIOBase):
    """A part of an open file as a file of its own."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._position = file, start, size, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, counted from the start of the part; behind its end nothing is read."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: object) -> int:
        """Fill `buffer` as far as the part reaches. Raises OSError where the file ends before it."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        wanted = min(len(view), max(0, self._size - self._position))
        content = _read(self._file, self._start + self._position, wanted)
        view[:wanted] = content
        self._position += wanted
        return wanted

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def _read(file: BinaryIO, start: int, count: int) -> bytes:
    """So many bytes of a file. Raises OSError where it ends before."""
    file.seek(start)
    content = file.read(count)
    while len(content) < count and (more := file.read(count - len(content))):
        content += more
    if len(content) < count:
        raise _damaged(f"it ends at byte {start + len(content)}, in the middle of a file")
    return content


def _status(file: BinaryIO) -> tuple[int, ...]:
    """What changes with the content of a local file; empty for an object of a store."""
    if not isinstance(file, io.FileIO):
        return ()
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _name(shard: Path | EncodedSource) -> str:
    return shown(shard) if isinstance(shard, Path) else shard.name


def _damaged(why: str) -> OSError:
    right = "copy the pack again, or pack the dataset again"
    return OSError(errno.EBADMSG, f"the shard is not as its manifest says: {why}; {right}")


def _remember(known: tuple[object, ...]) -> None:
    if len(_verified) >= REMEMBERED:
        _verified.clear()
    _verified.add(known)
