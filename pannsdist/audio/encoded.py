"""Sound files by their bytes: files of the file system, and those that lie in archives, tables and stores."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from pannsdist.contracts import EncodedSource, SourceState
from pannsdist.runtime.errors import CannotRead

SoundFile = Path | EncodedSource


class NoSoundFile(Exception):
    """A file that cannot be used, for the reason that is its text."""


class PassingSound(EncodedSource):
    """A sound file in memory, such as that of a request. It equals itself only, and nothing known of it outlives it.

    `check` is called whenever it is read, and may raise an OSError, which ends the reading.
    """

    def __init__(self, name: str, content: bytes, check: Callable[[], None]) -> None:
        self._name, self._content, self._check = name, content, check

    @property
    def name(self) -> str:
        """See EncodedSource."""
        return self._name

    def state(self) -> SourceState:
        """See EncodedSource."""
        return SourceState(len(self._content), "")

    def open(self) -> BinaryIO:
        """See EncodedSource."""
        return _CheckedBytes(self._content, self._check)


class _CheckedBytes(io.BytesIO):
    def __init__(self, content: bytes, check: Callable[[], None]) -> None:
        super().__init__(content)
        self._check = check

    def read(self, size: int | None = -1, /) -> bytes:
        self._check()
        return super().read(size)


def ending(source: SoundFile) -> str:
    """The ending of a file's name, such as `.wav`."""
    return source.suffix if isinstance(source, Path) else PurePosixPath(source.name).suffix


def opened(source: SoundFile) -> BinaryIO:
    """The bytes of a file. Raises OSError; its reads do, too."""
    return source.open("rb") if isinstance(source, Path) else source.open()


def state_of(source: SoundFile) -> SourceState:
    """The state of a file: of one in a folder its size, times and inode.

    Raises NoSoundFile for what is not there or no file, and CannotRead where a store does not tell.
    """
    try:
        return _state_of_path(source) if isinstance(source, Path) else source.state()
    except (OSError, ValueError) as error:
        raise no_sound_file(source, error) from error


def _state_of_path(path: Path) -> SourceState:
    status = os.stat(path)  # noqa: PTH116 raises for names that pathlib refuses
    if not stat.S_ISREG(status.st_mode):
        raise NoSoundFile("it is a folder" if stat.S_ISDIR(status.st_mode) else "it is no regular file")
    return SourceState(status.st_size, f"{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}")


def no_sound_file(source: SoundFile, error: OSError | ValueError) -> NoSoundFile:
    """Why a file cannot be opened. Raises CannotRead where a store does not give it now."""
    refuse_unavailable(source, error)
    if isinstance(error, FileNotFoundError):
        is_usual = isinstance(source, Path) or error.strerror in (None, os.strerror(errno.ENOENT))
        return NoSoundFile("there is no such file" if is_usual else str(error.strerror))
    if isinstance(error, PermissionError):
        return NoSoundFile("permission to read it is denied")
    return NoSoundFile(f"it cannot be opened ({getattr(error, 'strerror', None) or error})")


def refuse_unavailable(source: SoundFile, error: Exception) -> None:
    """Raise CannotRead for an error of a store or archive that says nothing about the sound itself."""
    if isinstance(source, Path) or not isinstance(error, OSError) or isinstance(error, FileNotFoundError):
        return
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    right = "nothing says that the sound is damaged, so it is not skipped; once it can be read, repeat the command"
    raise CannotRead(f"{source.name} cannot be read: {reason}", right) from error


def cause(source: SoundFile, failed: Exception | None, file: NotedErrors | NotedBytes | None) -> Exception | None:
    """Why the use of a decoder `failed`, by the error that its open `file` noted, if any; None if nothing failed.

    Raises CannotRead for an error of a store or archive. A decoder that has the file open has errors of its own, which
    are none of these, whatever their type.
    """
    of_file = failed if file is None else file.error
    if of_file is not None:
        refuse_unavailable(source, of_file)
    return of_file or failed


def noted(file: BinaryIO | io.RawIOBase) -> NotedErrors | NotedBytes:
    """An open file, at its start, whose first error is noted in `error`."""
    return NotedBytes(file.getvalue()) if type(file) is io.BytesIO else NotedErrors(file)


class NotedBytes(io.BytesIO):
    """Bytes in memory, in which only a move can fail: libsndfile reads an MP3 by some hundred bytes at a time."""

    error: Exception | None = None

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position."""
        try:
            return super().seek(offset, whence)
        except Exception as error:  # noqa: BLE001 raised again by the decoder that uses this file
            self.error = self.error or error
            return self.tell()


class NotedErrors(io.RawIOBase):
    """An open file whose first error is noted in `error`: a decoder written in C takes it for the end of the file."""

    def __init__(self, file: BinaryIO | io.RawIOBase) -> None:
        self._file = file
        self._fill: Callable[[Any], int | None] = self._read_into
        if isinstance(file, io.RawIOBase | io.BufferedReader):  # of another kind `read` alone may be redefined
            self._fill = file.readinto
        self.error: Exception | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position."""
        try:
            return self._file.seek(offset, whence)
        except Exception as error:  # noqa: BLE001 raised again by the decoder that uses this file
            self.error = self.error or error
            return self._file.tell()

    def readinto(self, buffer: object) -> int:
        """Fill `buffer`; with nothing after an error."""
        if self.error is not None:
            return 0
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        try:
            done = self._fill(view) or 0
            while 0 < done < len(view) and (more := self._fill(view[done:])):
                done += more
        except Exception as error:  # noqa: BLE001 raised again by the decoder that uses this file
            self.error = error
            return 0
        return done

    def _read_into(self, view: memoryview) -> int:
        """`readinto`, by `read`."""
        part: bytes = self._file.read(len(view)) or b""
        view[: len(part)] = part
        return len(part)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
