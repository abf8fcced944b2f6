"""Atomic writes of files and folders: a crash or a full disk leaves the previous content intact.

Functions that write raise `CannotWrite`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pannsdist.runtime.errors import CannotWrite, shell_command

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

    A crash leaves the older folder; between the last two renames it leaves none, until `recover` is called. A folder at
    `path` is always complete. If `fill` raises, the temporary folder is removed.
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
        shutil.rmtree(older, ignore_errors=True)
        if path.exists():
            path.rename(older)
        temporary.rename(path)
        sync(path.parent)
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
        raise CannotWrite(wrong, right, shell_command("df", "-h", path.parent)) from error
