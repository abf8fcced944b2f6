"""Reading of files that this package wrote: passing faults of a disk or a network are retried, formats are checked."""

from __future__ import annotations

import errno
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pannsdist.runtime.errors import CannotRead, UserError, shell_command

T = TypeVar("T")
PASSING = {
    getattr(errno, name)
    for name in (
        *("EAGAIN", "EBUSY", "EINTR", "EIO", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"),
        *("ECONNABORTED", "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),
        *("EREMOTEIO", "ESTALE", "ETIMEDOUT"),
    )
    if hasattr(errno, name)
}
"""Error numbers of faults that may be over a moment later: of a network file system, or of a machine under load."""
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""Error numbers that say that nothing is at a path."""
PAUSES_S = (0.1, 0.4)


def retried(read: Callable[[], T]) -> T:
    """The result of `read`, which is called up to three times while the system reports a passing fault.

    Raises the last OSError. A fault says nothing about the content of a file: never take it for damage or absence.
    """
    for pause_s in PAUSES_S:
        try:
            return read()
        except OSError as error:
            if error.errno not in PASSING:
                raise
        time.sleep(pause_s)
    return read()


def exists(path: Path) -> bool:
    """Whether something is at a path, links followed. Raises CannotRead."""
    return _mode(path) != 0


def is_file(path: Path) -> bool:
    """Whether a path is a regular file. Raises CannotRead, where `Path.is_file` raises an error of the system or lies.

    Python up to 3.11 raises what it does not take for absence, later ones take every fault for absence.
    """
    return stat.S_ISREG(_mode(path))


def is_folder(path: Path) -> bool:
    """Whether a path is a folder. Raises CannotRead."""
    return stat.S_ISDIR(_mode(path))


def _mode(path: Path) -> int:
    """The mode of what is at a path; 0 where there is nothing, also under a name that nothing can have."""
    try:
        return retried(path.stat).st_mode
    except ValueError:  # a NUL character
        return 0
    except OSError as error:
        if error.errno in ABSENT:
            return 0
        raise cannot_read(path, error) from error


def names_in(folder: Path) -> list[str]:
    """The names in a folder, sorted; empty where there is no folder.

    Raises CannotRead, unlike `Path.glob`, which finds nothing in a folder that cannot be read.
    """
    try:
        return sorted(retried(lambda: [path.name for path in folder.iterdir()]))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise cannot_read(folder, error) from error


def text_or_empty(path: Path, errors: str = "strict") -> str:
    """The text of a file in UTF-8; empty where there is no file. Raises CannotRead.

    Unlike a test with `Path.exists`, which may take a file that cannot be read for one that does not exist.
    """
    return bytes_or_empty(path).decode("utf-8", errors)


def bytes_or_empty(path: Path) -> bytes:
    """The content of a file; empty where there is no file. Raises CannotRead."""
    try:
        return retried(path.read_bytes)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise cannot_read(path, error) from error


def complete_lines(path: Path) -> list[bytes]:
    """The lines of a file that have their end; empty where there is no file. Raises CannotRead."""
    return bytes_or_empty(path).split(b"\n")[:-1]


def cannot_read(path: Path, error: OSError | MemoryError) -> CannotRead:
    """The error for a file or folder that could not be read, and was left as it is."""
    named = getattr(error, "filename", None) or path
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    right = "nothing was changed or renamed; once the disk, the network or the memory is in order, repeat the command"
    return CannotRead(f"{named} cannot be read: {reason}", right, shell_command("ls", "-l", path))


def check_format(content: Mapping[str, Any], known: int, path: Path | str, error: type[UserError]) -> None:
    """Raise `error` where the `format` of a file's content is not the one number that this package reads."""
    found = content.get("format")
    if type(found) is int and found > known:
        wrong = f"{path} was written by a newer pannsdist: its format is {found}, this one reads format {known}"
        raise error(wrong, "the file is unchanged; upgrade, and repeat the command", "pip install -U pannsdist")
    if type(found) is not int or found != known:
        wrong = f"{path} cannot be read: its format is {found!r}, but this pannsdist reads format {known}"
        raise error(wrong, "the file is unchanged; copy it again, or use the version of pannsdist that wrote it")
