"""The run folder: tried with small files of its own, which are removed."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import time
from pathlib import Path

from pannsdist.run.doctor.facts import Folder
from pannsdist.runtime import outputs, storage
from pannsdist.runtime.errors import CannotWrite

PROBE = ".pannsdist-doctor-"
"""How the names of the files begin that the doctor writes and removes."""
SEEN_ENTRIES = 1000


def folder(path: Path) -> Folder:
    """What can be done in a run folder, or in the lowest folder above it that exists."""
    place = next((one for one in (path, *path.absolute().parents) if one.is_dir()), Path("/"))
    try:
        outputs.require_folder(path, "the run folder")
        return _tried(path, place)
    except CannotWrite as error:
        return Folder(str(path), path.is_dir(), error.wrong)


def _tried(path: Path, place: Path) -> Folder:
    probe = place / f"{PROBE}{secrets.token_hex(8)}"
    storage.make_folder(probe)
    try:
        storage.write_file(probe / "one", "1")
        ahead = (probe / "one").stat().st_mtime - time.time()
        return Folder(
            *(str(path), path.is_dir(), "", _kind(place), shutil.disk_usage(place).free),
            *(locks_fault(probe / "one"), _renames_fault(probe), _links_fault(probe)),
            *(round(ahead, 3), _newest_ahead_s(place)),
        )
    finally:
        storage.remove(probe)


def locks_fault(path: Path) -> str:
    """Why `flock` protects nothing here; empty if a second lock of a file is refused, as it should be."""
    with storage.opened(path, "ab") as one, storage.opened(path, "ab") as other:
        try:
            fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return f"no locks ({error.strerror})"
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return ""
        except OSError as error:
            return f"no locks ({error.strerror})"
    return "a file can be locked twice"


def _renames_fault(probe: Path) -> str:
    """Why a file cannot replace another in one step."""
    try:
        storage.write_file(probe / "two", "2")
        storage.rename(probe / "two", probe / "one")
    except CannotWrite as error:
        return error.wrong
    replaced = (probe / "one").read_bytes() == b"2" and not (probe / "two").exists()
    return "" if replaced else "a renamed file is not what it was"


def _links_fault(probe: Path) -> str:
    try:
        storage.make_link(probe / "link", "one")
    except CannotWrite as error:
        return error.wrong
    return ""


def _newest_ahead_s(place: Path) -> float | None:
    """How far the newest of the files there is ahead of this node's clock, in seconds; negative for the past."""
    newest = None
    try:
        with os.scandir(place) as entries:
            for _, entry in zip(range(SEEN_ENTRIES), entries, strict=False):
                if not entry.name.startswith(PROBE):
                    newest = max(newest or 0.0, entry.stat(follow_symlinks=False).st_mtime)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EACCES, errno.ESTALE):
            raise
    return None if newest is None else round(newest - time.time(), 3)


def _kind(place: Path) -> str:
    """The type of a file system, such as ext4 or nfs4: that of the longest mount point above a folder."""
    import psutil

    real = os.path.realpath(place)
    mounts = [one for one in psutil.disk_partitions(all=True) if Path(real).is_relative_to(one.mountpoint)]
    return max(mounts, key=lambda one: len(one.mountpoint)).fstype if mounts else ""
