"""The one room that writes files and folders: every error of the file system becomes `CannotWrite`.

Text is written as UTF-8 without credentials. What is called atomic leaves the previous content intact after a crash or
on a full disk.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from pannsdist.runtime.failed_writes import cannot_write
from pannsdist.runtime.reading import exists, is_folder, names_in
from pannsdist.runtime.redaction import without_credentials
from pannsdist.runtime.swapping import swap_paths

WRITING, OLDER = "writing", "older"


class Readable(Protocol):
    """What a file is copied from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


guards: list[Callable[[Path], None]] = []
"""Called with the path before everything that is written here: `folder_lock` refuses a folder that was lost."""


def encoded(content: str | bytes) -> bytes:
    """Content as bytes: text as UTF-8 without credentials.

    A character that UTF-8 does not have, of a file name in another encoding, becomes an escape as in JSON.
    """
    if isinstance(content, bytes):
        return content
    return without_credentials(content).encode("utf-8", "backslashreplace")


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a temporary file, then rename it to `path`."""
    raw = encoded(content)
    stream_atomic(path, lambda file: file.write(raw))


def stream_atomic(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a temporary file, then rename it to `path`; if it raises, no temporary file is left.

    A link is followed; a device or a pipe, such as /dev/stdout, is written directly.
    """
    with writing(path):
        if path.is_symlink():
            path = Path(os.path.realpath(path))
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as file:
                write(file)
            return
        temporary = _sibling(path, WRITING)
        try:
            with temporary.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def replace(path: Path, content: bytes, ending: str) -> None:
    """As `write_atomic` by many at once, without waiting for the disk. A killed process leaves a file with `ending`."""
    make_folder(path.parent)
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}{ending}")
    with writing(path):
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file directly, not atomically: for a file of a folder that `write_folder_atomic` fills."""
    raw = encoded(content)
    with writing(path), path.open("wb") as file:
        file.write(raw)


def overwrite(path: Path, content: str) -> None:
    """Write a file in the room that it has already, so also on a full disk, if the content is no longer. Not atomic."""
    raw = encoded(content)
    with writing(path), path.open("r+b" if path.exists() else "wb") as file:
        file.write(raw)
        file.truncate()


def append_line(path: Path, line: str) -> None:
    """Append a line to a text file. Not atomic: a crash may leave part of the line."""
    with writing(path), path.open("ab") as file:
        file.write(encoded(f"{line}\n"))


def copy_stream(source: Readable, path: Path) -> None:
    """Copy the rest of an open file into a new file, whose folder is created. Errors of `source` are raised as such."""
    make_folder(path.parent)
    with opened(path, "wb") as file:
        while block := source.read(1 << 20):
            with writing(path):
                file.write(block)


def opened(path: Path, mode: str) -> IO[bytes]:
    """A file opened for writing in a binary mode; the caller closes it. Errors of later writes are not translated."""
    with writing(path):
        file: IO[bytes] = path.open(mode)
    return file


def make_folder(path: Path, private: bool = False) -> None:
    """Create a folder with its parents, unless it exists; `private` makes it accessible to its owner only."""
    with writing(path):
        path.mkdir(mode=0o700 if private else 0o777, parents=True, exist_ok=True)
        if private:
            path.chmod(0o700)


def rename(path: Path, target: Path) -> None:
    """Rename a file or folder, within its file system."""
    with writing(target, "rename something to"):
        path.rename(target)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder; nothing where there is none."""
    with writing(path, "remove"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for temporary files, removed at the end of the block. Raises CannotWrite where there is no room."""
    with writing(_temporary_place()):
        folder = tempfile.TemporaryDirectory(prefix="pannsdist-")
    with folder as name:
        yield Path(name)


def temporary_file() -> IO[bytes]:
    """An open file without a name, for reading and writing; it goes with its closing."""
    with writing(_temporary_place()):
        return tempfile.TemporaryFile()


def _temporary_place() -> Path:
    return Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108 - only for the message


def write_folder_atomic(path: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a temporary folder, then rename it to `path`, replacing an older folder.

    A crash leaves the older folder or the new one, complete: the two change places in one step. On a file system that
    cannot do this, a crash between two renames leaves none, until `recover` or `recover_folder` is called, or the next
    folder is written; `complete_version` finds it before. If `fill` raises, the temporary folder is removed.
    """
    temporary, older = _sibling(path, WRITING), _sibling(path, OLDER)
    with writing(path):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            fill(temporary)
            for file in temporary.rglob("*"):
                sync(file)
            sync(temporary)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        if not (path.exists() and swap_paths(temporary, path)):
            _complete(path, older)
            if path.exists():
                path.rename(older)
            temporary.rename(path)
        sync(path.parent)
        for replaced in (older, temporary):
            shutil.rmtree(replaced, ignore_errors=True)


def complete_version(path: Path) -> Path:
    """The folder to read in place of `path`: itself, or the older one while a crashed replacement is not recovered.

    Raises CannotRead.
    """
    if exists(path):
        return path
    older = _sibling(path, OLDER)
    return older if is_folder(older) else path


def recover_folder(path: Path) -> None:
    """Restore the older folder that a crashed `write_folder_atomic` left of `path`, and delete its temporary one."""
    with writing(path):
        _complete(path, _sibling(path, OLDER))
        shutil.rmtree(_sibling(path, WRITING), ignore_errors=True)


def _complete(path: Path, older: Path) -> None:
    if older.is_dir() and not path.exists():
        older.rename(path)
    shutil.rmtree(older, ignore_errors=True)


def recover(parent: Path) -> None:
    """Restore older folders and delete temporary ones that a crashed `write_folder_atomic` left in `parent`.

    Raises CannotRead or CannotWrite.
    """
    hidden = [parent / name for name in names_in(parent) if name.startswith(".")]
    for older in (path for path in hidden if path.name.endswith(f".{OLDER}")):
        path = parent / older.name.removeprefix(".").removesuffix(f".{OLDER}")
        if exists(path):
            remove(older)
        else:
            rename(older, path)
    for temporary in (path for path in hidden if path.name.endswith(f".{WRITING}")):
        remove(temporary)


def link_atomic(link: Path, target: Path) -> None:
    """Create or replace the symbolic link `link` to its sibling `target`."""
    temporary = _sibling(link, WRITING)
    with writing(link):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target.name)
        temporary.replace(link)
        sync(link.parent)


def make_link(link: Path, target: str) -> None:
    """Create the symbolic link `link` to a path relative to its folder; replaces a link, and nothing else."""
    with writing(link):
        if link.is_symlink():
            link.unlink()
        if not link.exists():
            link.symlink_to(target)


def touch(path: Path) -> None:
    """Set the times of a file to now."""
    with writing(path):
        os.utime(path)


def flush(path: Path) -> None:
    """Flush a written file to disk."""
    with writing(path):
        sync(path)


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk (fsync). Raises OSError: for blocks of `writing` only."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sibling(path: Path, state: str) -> Path:
    return path.with_name(f".{path.name}.{state}")


@contextmanager
def writing(path: Path, doing: str = "write") -> Iterator[None]:
    """Turn an OSError of the block, and a name that no file can have, into CannotWrite about `path`.

    Raises before it what a guard raises.
    """
    for guard in guards:
        guard(path)
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error, doing=doing) from error
    except ValueError as error:
        if "\0" not in str(path):
            raise
        raise cannot_write(path, OSError(errno.EINVAL, "the name has a NUL character")) from error
