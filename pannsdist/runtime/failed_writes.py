"""The message for an error of the file system: what could not be written, what to do about it, what to look at."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from pannsdist.runtime.errors import CannotWrite, shell_command

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REMEDIES = {
    errno.ENOENT: "the folder does not exist, or was removed meanwhile; create it, then repeat the command",
    errno.ENOTDIR: "part of the path is a file where a folder is needed; give another path",
    errno.EISDIR: "this is a folder; give the name of a file",
    errno.EEXIST: "something else has this name; give another path",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EINVAL: "give another name",
    errno.EROFS: "this file system is read-only; give a path on another one",
}
"""What to do about an error, where it is neither room nor permission."""


def cannot_write(path: Path, error: OSError, option: str = "", doing: str = "write") -> CannotWrite:
    """The message for an error of the file system; `option` is what names the path on the command line."""
    named = f"{option} {path}" if option else str(path)
    wrong = f"cannot {doing} {named}: {error.strerror or error}".replace("\0", "\\0")
    right = "existing files are unchanged; free disk space or check the permissions, then repeat the command"
    existing = next((one for one in (path.parent, *path.parents) if os.path.lexists(one)), Path())
    command = shell_command("df", "-h", path.parent)
    if error.errno in REMEDIES or existing != path.parent:
        right, command = REMEDIES.get(error.errno or 0, right), shell_command("ls", "-ld", existing)
    return CannotWrite(wrong, right, command)
