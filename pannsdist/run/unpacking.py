"""Unpacking of archives: nothing outside the target folder, no links, bounded sizes; damaged archives are removed."""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import sys
import tarfile
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from pannsdist.runtime import storage
from pannsdist.runtime.errors import BadDataset, UserError
from pannsdist.runtime.storage import Readable
from pannsdist.weights.downloads import cache

MOST_TIMES, ALWAYS_BYTES = 200, 1 << 26
"""An archive may hold this many times its own size, and 64 MB in any case; real recordings pack to a tenth at best."""
BLOCK_BYTES = 1 << 20
COMPRESSIONS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"\x5d\x00\x00": lzma.open,
}
"""How to open a compressed tar archive, by its first bytes."""


def unpack(archive: Path, kind: str, target: Path) -> None:
    """Extract an archive of `kind` zip or tar (with any compression) into a folder, replacing existing files.

    Raises BadDataset: for a damaged archive, which is removed, so that the next run downloads it again; before a link,
    a device or a path outside the folder is extracted; once the content exceeds `MOST_TIMES` the archive; for one that
    the system cannot read now, which is left as it is. Raises CannotWrite for a folder that cannot be written.
    """
    readers = {"zip": _zipped, "tar": _tarred}
    if kind not in readers:
        raise BadDataset(f"{archive.name} has the archive type {kind!r}", "allowed: zip, tar; fix the plugin")
    print(f"unpacking {archive.name}\n  to {target}", file=sys.stderr, flush=True)
    with _reading(archive), closing(readers[kind](archive, _Budget(archive))) as members:
        for name, content in members:
            storage.copy_stream(content, target / inside(name, archive.name))


def inside(name: str, source: str) -> PurePosixPath:
    """The name as a relative path. Raises BadDataset if it would leave the folder it is joined to."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or set(name) & set("\\:\0"):
        raise BadDataset(f"{source} names {name!r}, which is outside the target folder", "do not trust this archive")
    return path


class _Budget:
    """The bytes that an archive may still expand to."""

    def __init__(self, archive: Path) -> None:
        self._name, self._most = archive.name, max(ALWAYS_BYTES, MOST_TIMES * archive.stat().st_size)
        self._left = self._most

    def spend(self, count: int) -> None:
        """Count unpacked bytes. Raises BadDataset once there are too many."""
        self._left -= count
        if self._left < 0:
            wrong = f"{self._name} unpacks to more than {self._most} bytes, {MOST_TIMES} times its size"
            raise BadDataset(wrong, "do not trust this archive; or unpack it by hand")


class _Counted:
    """A stream whose bytes are counted as they are read."""

    def __init__(self, stream: Readable, budget: _Budget) -> None:
        self._stream, self._budget = stream, budget

    def read(self, size: int = BLOCK_BYTES) -> bytes:
        block = self._stream.read(min(size, BLOCK_BYTES) if size >= 0 else BLOCK_BYTES)
        self._budget.spend(len(block))
        return block


class _Member(tarfile.TarInfo):
    """A member of a tar archive. Raises ReadError for a damaged header, at which tarfile ends without an error."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error}, where a member or the end marker should be") from error


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Translate what reading an archive raises; remove it if it is damaged, for an existing one counts as complete.

    Damaged bytes raise almost anything: zipfile, tarfile, zlib, lzma, bz2 and struct have errors of their own, and
    OSError without a number is theirs too.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except NotImplementedError as error:
        right = "unpack it by hand, or, if it may be damaged, remove it and repeat the command"
        raise BadDataset(f"{archive} cannot be unpacked: {error}", right) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            right = "nothing was removed; once the disk or the network is in order, repeat the command"
            raise BadDataset(f"{archive} cannot be read: {error.strerror}", right) from error
        storage.remove(archive)
        storage.remove(cache.checksum_path(archive))
        reason = str(error)[:200] or type(error).__name__
        wrong = f"{archive.name} is truncated or damaged, and was removed: {reason}"
        raise BadDataset(wrong, "repeat the command to download it again") from error


def _zipped(archive: Path, budget: _Budget) -> Generator[tuple[str, Readable], None, None]:
    """The files of a zip archive; checksums are verified while reading."""
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _unsafe(archive, entry.filename)
            if entry.flag_bits & 1:
                raise BadDataset(f"{archive} is encrypted", "unpack it by hand, with its password")
            if not entry.is_dir():
                with opened.open(entry) as content:
                    yield entry.filename, _Counted(content, budget)


def _tarred(archive: Path, budget: _Budget) -> Generator[tuple[str, Readable], None, None]:
    """The files of a tar archive, read once from start to end: headers count too, and checksums are verified."""
    with archive.open("rb") as file:
        start = file.read(8)
    opener = next((found for magic, found in COMPRESSIONS.items() if start.startswith(magic)), open)
    with opener(archive, "rb") as stream:
        counted = _Counted(stream, budget)
        with tarfile.open(fileobj=counted, mode="r|", tarinfo=_Member) as opened:  # type: ignore[call-overload]
            for entry in opened:
                if not entry.isfile() and not entry.isdir():
                    raise _unsafe(archive, entry.name)
                content = opened.extractfile(entry)
                if content is not None:
                    yield entry.name, content
        while counted.read():
            pass


def _unsafe(archive: Path, name: str) -> BadDataset:
    return BadDataset(f"{archive.name} contains a link or a device: {name!r}", "do not trust this archive")
