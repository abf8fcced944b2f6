"""Which file systems have locks that every process sees, on this host and on others, however it has mounted them."""

from __future__ import annotations

import os
import re
from collections.abc import Set
from pathlib import Path

OF_ONE_HOST = {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "ramfs", "tmpfs", "xfs", "zfs"}
"""Only one host has them, whose kernel knows all locks."""
OF_A_CLUSTER = {"ceph", "gfs2", "gpfs", "ocfs2"}
NFS = {"nfs", "nfs4"}
NFS_LOCAL = {"nolock", "local_lock=all", "local_lock=flock"}
"""Mounts that keep `flock` on the client (nfs(5))."""
LUSTRE_SHARED = "flock"
"""Without it Lustre has no locks, and with `localflock` those of one client."""


def are_shared(folder: Path) -> bool:
    """Whether `flock` in a folder is known to be seen by every process that has the folder; False where it is not."""
    try:
        table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return False
    return are_shared_in(table, os.path.realpath(folder))


def are_shared_in(table: str, path: str) -> bool:
    """The same for an absolute path without links, by the mounts of `/proc/PID/mountinfo` (proc_pid_mountinfo(5))."""
    found, length = "", -1
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        point = _unescaped(before.split(" ")[4])
        if _is_below(path, point) and len(point) >= length:  # of mounts on one another the last one counts
            found, length = after, len(point)
    kind, *rest = found.split(" ") or [""]
    return _is_shared(kind, set(rest[-1].split(",")) if rest else set())


def _is_shared(kind: str, options: Set[str]) -> bool:
    if kind in NFS:
        return not options & NFS_LOCAL
    if kind == "lustre":
        return LUSTRE_SHARED in options
    return kind in OF_ONE_HOST | OF_A_CLUSTER


def _is_below(path: str, point: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")


def _unescaped(text: str) -> str:
    """Blanks and the like stand there as `\\040`."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
