"""Small disks that no other process sees, and that end with this one, however it ends."""

from __future__ import annotations

import ctypes
import subprocess
from functools import cache
from pathlib import Path

CLONE_NEWNS = 0x20000


def mount(folder: Path, size: str) -> bool:
    """Mount an empty disk of this size at a folder; False, with the folder as it is, without the right to mount.

    This thread and what it starts from now on see it.
    """
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    return _has_mounts_of_its_own() and _is_done(command)


def enlarge(folder: Path) -> None:
    """Give a mounted disk 64 MB."""
    subprocess.run(["mount", "-o", "remount,size=64M", str(folder)], check=True)


def unmount(folder: Path) -> None:
    """Take a disk away; what is open on it stays so."""
    subprocess.run(["umount", "-l", str(folder)], check=True)


@cache
def _has_mounts_of_its_own() -> bool:
    """Leave the mounts of the other processes, once: the kernel removes ours when the last process of them ends."""
    return ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0 and _is_done(["mount", "--make-rprivate", "/"])


def _is_done(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
