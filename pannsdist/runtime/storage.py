"""Atomic writes of files and folders: a crash or a full disk leaves the previous content intact.

Functions that write raise `CannotWrite`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pannsdist.runtime.errors import CannotWrite
from pannsdist.runtime.swapping import swap_paths

WRITING, OLDER = "writing", "older"


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a temporary file, then rename it to `path`; text is encoded as UTF-8."""
    temporary = _sibling(path, WRITING)
    with _raising_cannot_write(path):
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


def append_line(path: Path, line: str) -> None:
    """Append a line to a text file. Not atomic: a crash may leave part of the line."""
    with _raising_cannot_write(path), path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def write_folder_atomic(path: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a temporary folder, then rename it to `path`, replacing an older folder.

    A crash leaves the older folder or the new one, complete: the two change places in one step. On a file system that
    cannot do this, a crash between two renames leaves none, until `recover` or `recover_folder` is called, or the next
    folder is written; `complete_version` finds it before. If `fill` raises, the temporary folder is removed.
    """
    temporary, older = _sibling(path, WRITING), _sibling(path, OLDER)
    with _raising_cannot_write(path):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            fill(temporary)
            for file in temporary.iterdir():
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
    """The folder to read in place of `path`: itself, or the older one while a crashed replacement is not recovered."""
    older = _sibling(path, OLDER)
    return older if older.is_dir() and not path.exists() else path


def recover_folder(path: Path) -> None:
    """Restore the older folder that a crashed `write_folder_atomic` left of `path`, and delete its temporary one."""
    with _raising_cannot_write(path):
        _complete(path, _sibling(path, OLDER))
        shutil.rmtree(_sibling(path, WRITING), ignore_errors=True)


def _complete(path: Path, older: Path) -> None:
    if older.is_dir() and not path.exists():
        older.rename(path)
    shutil.rmtree(older, ignore_errors=True)


def recover(parent: Path) -> None:
    """Restore older folders and delete temporary ones that a crashed `write_folder_atomic` left in `parent`."""
    for older in parent.glob(f".*.{OLDER}"):
        path = parent / older.name.removeprefix(".").removesuffix(f".{OLDER}")
        if path.exists():
            shutil.rmtree(older)
        else:
            older.rename(path)
    for temporary in parent.glob(f".*.{WRITING}"):
        if temporary.is_dir() and not temporary.is_symlink():
            shutil.rmtree(temporary)
        else:
            temporary.unlink()


def link_atomic(link: Path, target: Path) -> None:
    """Create or replace the symbolic link `link` to its sibling `target`."""
    temporary = _sibling(link, WRITING)
    with _raising_cannot_write(link):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target.name)
        temporary.replace(link)
        sync(link.parent)


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk (fsync)."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sibling(path: Path, state: str) -> Path:
    return path.with_name(f".{path.name}.{state}")


@contextmanager
def _raising_cannot_write(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        wrong = f"cannot write {path}: {error.strerror or error}"
        right = "existing files are unchanged; free disk space or check the permissions, then repeat the command"
        raise CannotWrite(wrong, right, f"df -h {path.parent}") from error
