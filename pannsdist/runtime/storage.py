"""Files and folders that are there whole or not at all, whenever a process dies or a disk is full.

What cannot be written is refused with `CannotWrite`, and what was there before stays.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pannsdist.runtime.errors import CannotWrite

WRITING, OLDER = "writing", "older"


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file beside its place, then put it there in one move; text is written as UTF-8."""
    aside = _beside(path, WRITING)
    with _refusing(path):
        with aside.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file. A process that dies meanwhile may leave part of it."""
    with _refusing(path), path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def fill_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a folder aside, then put it in its place, taking the older one's if there is one.

    A process that dies in between leaves the older folder, or between the last two moves none until `mend` is called;
    what is at `path` is always whole. Where `fill` raises, nothing is left of what it wrote.
    """
    aside, older = _beside(path, WRITING), _beside(path, OLDER)
    with _refusing(path):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            fill(aside)
            for file in aside.iterdir():
                sync(file)
            sync(aside)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        shutil.rmtree(older, ignore_errors=True)
        if path.exists():
            path.rename(older)
        aside.rename(path)
        sync(path.parent)
        shutil.rmtree(older, ignore_errors=True)


def mend(parent: Path) -> None:
    """Put back what `fill_folder` had moved away in `parent` when its process died, and clear what it left."""
    for older in parent.glob(f".*.{OLDER}"):
        path = parent / older.name.removeprefix(".").removesuffix(f".{OLDER}")
        if path.exists():
            shutil.rmtree(older)
        else:
            older.rename(path)
    for aside in parent.glob(f".*.{WRITING}"):
        if aside.is_dir() and not aside.is_symlink():
            shutil.rmtree(aside)
        else:
            aside.unlink()


def point(link: Path, target: Path) -> None:
    """Make `link` a symbolic link to its sibling `target`, in one move."""
    aside = _beside(link, WRITING)
    with _refusing(link):
        aside.unlink(missing_ok=True)
        aside.symlink_to(target.name)
        aside.replace(link)
        sync(link.parent)


def sync(path: Path) -> None:
    """Have the disk hold what was written to a file, or which files are in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _beside(path: Path, state: str) -> Path:
    return path.with_name(f".{path.name}.{state}")


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        wrong = f"cannot write {path}: {error.strerror or error}"
        right = "what was there before is as it was; make room, or see who may write there, and repeat the command"
        raise CannotWrite(wrong, right, f"df -h {path.parent}") from error
