"""Files and folders that are there whole or not at all, whenever a process dies or a disk is full."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file beside its place, then put it there in one move; text is written as UTF-8."""
    aside = path.with_name(f".{path.name}.writing")
    with aside.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def fill_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a folder aside, then put it in its place, taking the older one's if there is one.

    A process that dies in between leaves the older folder, or for an instant none; what is at `path` is always whole.
    Where `fill` raises, nothing is left of what it wrote.
    """
    aside, older = path.with_name(f".{path.name}.writing"), path.with_name(f".{path.name}.older")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        fill(aside)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    for file in aside.iterdir():
        sync(file)
    sync(aside)
    shutil.rmtree(older, ignore_errors=True)
    if path.exists():
        path.rename(older)
    aside.rename(path)
    sync(path.parent)
    shutil.rmtree(older, ignore_errors=True)


def point(link: Path, target: Path) -> None:
    """Make `link` a symbolic link to its sibling `target`, in one move."""
    aside = link.with_name(f".{link.name}.writing")
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
