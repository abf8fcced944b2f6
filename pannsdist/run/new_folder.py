"""Folders that a command fills: one process has them at a time, and the disk has room for what will come."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pannsdist.runtime import outputs, storage
from pannsdist.runtime.errors import CannotWrite, shell_command
from pannsdist.runtime.folder_lock import FolderLock
from pannsdist.runtime.names import folder_above


@contextmanager
def locked(output: Path, ending: str) -> Iterator[None]:
    """The folder `output`, of option -o, is this process's while the block runs; the lock lies beside it.

    Raises CannotWrite, and BadRunFolder where another process has it.
    """
    outputs.require_folder(output, "-o")
    place = output.with_name(f".{output.name}.{ending}")
    lock = FolderLock.acquire(place, again=False)
    try:
        yield
    finally:
        lock.close()
        storage.remove(place)


def refuse_full_disk(output: Path, needed_bytes: int, what: str) -> None:
    """Raise CannotWrite where the disk of `output` has no room for what will be written."""
    above = folder_above(output)
    with storage.writing(output):
        free = shutil.disk_usage(above).free
    if free < needed_bytes:
        wrong = f"cannot write -o {output}: the {what} need {needed_bytes:,} bytes, and {free:,} are free there"
        right = "nothing was written; free disk space, or give another folder"
        raise CannotWrite(wrong, right, shell_command("df", "-h", above))
