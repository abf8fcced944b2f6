"""Outputs are refused before the work begins: whether a file or a folder can be written, found out without leaving one.

Any process may call these functions. They raise CannotWrite.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pannsdist.runtime.errors import CannotWrite, UserError, shell_command
from pannsdist.runtime.failed_writes import cannot_write
from pannsdist.runtime.names import shown
from pannsdist.runtime.storage import WRITING

PROBE_BYTES = 4096
MAX_NAME_BYTES, MAX_PATH_BYTES = 255, 4000
"""Linux allows paths of 4096 bytes; files inside need the rest."""
TEXT_ENDING = ".txt"
NOT_SUPPORTED = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)


def require_file(path: Path, option: str) -> None:
    """Raise CannotWrite unless a file can be written at `path`, whose folder must exist; `option` named the path."""
    _refuse_name(path, option)
    if path.is_dir():
        raise cannot_write(path, _error(errno.EISDIR), option)
    if not path.parent.is_dir():
        wrong = f"cannot write {option} {path}: there is no folder {path.parent}".replace("\0", "\\0")
        raise CannotWrite(wrong, command=shell_command("mkdir", "-p", path.parent))
    if path.exists() and not path.is_file():  # a device or a pipe
        if not os.access(path, os.W_OK):
            raise cannot_write(path, _error(errno.EACCES), option)
        return
    _require(Path(os.path.realpath(path)) if path.is_symlink() else path, option)


def require_suffix(path: Path, suffixes: tuple[str, ...], option: str) -> None:
    """Raise UserError unless the name of an output ends in one of these."""
    if path.suffix.lower() not in suffixes:
        right = f"give a name such as {_named(path, suffixes[0])}"
        raise UserError(f"{option} {shown(path)} is not a {' or '.join(suffixes)} file", right)


def format_of(path: Path | None, given: str | None, formats: Sequence[str]) -> str:
    """The format of an output: the given one, or that of its ending; the first of `formats` for the terminal and .txt.

    Raises UserError for a file with another ending, which would hold something else than its name says.
    """
    if given or path is None:
        return given or formats[0]
    endings = {TEXT_ENDING: formats[0]} | {f".{name}": name for name in formats[1:]}
    if path.suffix.lower() not in endings:
        right = f"give a name such as {_named(path, f'.{formats[-1]}')}, or name the format: --format {formats[0]}"
        raise UserError(f"-o {shown(path)} ends in none of {', '.join(endings)}", right)
    return endings[path.suffix.lower()]


def _named(path: Path, suffix: str) -> str:
    """An example of a name with an ending, of the same file."""
    return shell_command(shown(path.with_suffix(suffix)) if path.name else f"output{suffix}")


def require_folder(path: Path, option: str) -> None:
    """Raise CannotWrite unless files can be written in the folder `path`, which need not exist, nor its parents."""
    _refuse_name(path, option)
    if path.is_dir():
        _probe_named(path, path, option)
    elif path.exists():
        raise cannot_write(path, _error(errno.ENOTDIR), option)
    else:
        _require(path, option)


def _refuse_name(path: Path, option: str) -> None:
    """Raise CannotWrite for a name that no file system takes, and that Python would not even look up."""
    if "\0" in str(path):
        raise cannot_write(path, _error(errno.EINVAL, "the name has a NUL character"), option)
    too_long = any(len(os.fsencode(part)) > MAX_NAME_BYTES for part in path.parts)
    if too_long or len(os.fsencode(Path.cwd() / path)) > MAX_PATH_BYTES:
        raise cannot_write(path, _error(errno.ENAMETOOLONG), option)


def _require(path: Path, option: str) -> None:
    """Raise CannotWrite unless `path`, and its missing parents, can be created."""
    parents = [path, *path.parents] if path.is_absolute() else [path, *path.parents, Path()]
    above = next(one for one in parents[1:] if os.path.lexists(one))
    if not above.is_dir():
        raise cannot_write(path, _error(errno.ENOTDIR, f"Not a directory: {above}"), option)
    if path.is_symlink() and not path.exists():
        raise cannot_write(path, _error(errno.EEXIST, "it is a link to nothing"), option)
    longest = os.pathconf(above, "PC_NAME_MAX") - len(f"..{WRITING}")
    if any(len(os.fsencode(one.name)) > longest for one in parents if not os.path.lexists(one)):
        raise cannot_write(path, _error(errno.ENAMETOOLONG), option)
    _probe_named(above, path, option)


def _probe_named(folder: Path, path: Path, option: str) -> None:
    try:
        _probe(folder)
    except FileNotFoundError as error:  # such as /proc
        raise cannot_write(path, _error(errno.EACCES, f"nothing can be created in {folder}"), option) from error
    except OSError as error:
        raise cannot_write(path, error, option) from error


def _probe(folder: Path) -> None:
    """Write a file without a name in a folder; where the file system has no such files, one that is removed at once."""
    try:
        handle = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise
        handle, name = tempfile.mkstemp(prefix=".pannsdist-", dir=folder)
        Path(name).unlink()
    try:
        os.write(handle, bytes(PROBE_BYTES))
        os.fsync(handle)
    finally:
        os.close(handle)


def _error(number: int, text: str = "") -> OSError:
    return OSError(number, text or os.strerror(number))
