"""Files in the run folder by which nodes see whether they have the same one, each locked by the node that wrote it."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pannsdist.run.doctor.comparing import Token
from pannsdist.run.doctor.probing.folder import PROBE
from pannsdist.runtime import storage
from pannsdist.runtime.errors import CannotWrite

LOOKS, PAUSE_S = 5, 0.5
"""NFS may show a new file a second or so late."""


def place_of(folder: Path) -> Path:
    """The folder itself, or the lowest above it that exists: doctor does not create the run folder."""
    return next(one for one in (folder.absolute(), *folder.absolute().parents) if one.is_dir())


def token_path(folder: Path, word: str, number: int) -> Path:
    """The file of the node `number`; `word` tells one rendezvous from another."""
    return place_of(folder) / f"{PROBE}{word}-{number}"


@contextmanager
def token_written(folder: Path | None, word: str, number: int) -> Iterator[str]:
    """The file of this node, locked within the block, and removed after it; gives what is wrong, if anything."""
    if folder is None:
        yield ""
        return
    path = token_path(folder, word, number)
    try:
        file = storage.opened(path, "wb")
    except CannotWrite as error:
        yield error.wrong
        return
    try:
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                yield f"no locks in {path.parent}: {error.strerror}"
            else:
                yield ""
    finally:
        storage.remove(path)


def look_at(folder: Path | None, word: str, count: int, own: int) -> tuple[Token, ...]:
    """What this node sees of the files of the others."""
    if folder is None:
        return ()
    return tuple(_seen(token_path(folder, word, number), number) for number in range(count) if number != own)


def _seen(path: Path, number: int) -> Token:
    for _ in range(LOOKS):
        list(path.parent.iterdir())  # makes NFS look again
        if path.is_file():
            return Token(number, True, _lock_fault(path))
        time.sleep(PAUSE_S)
    return Token(number, False)


def _lock_fault(path: Path) -> str:
    """Why the lock of another node protects nothing; empty if it is honoured."""
    try:
        with storage.opened(path, "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return ""
    except (CannotWrite, OSError) as error:
        return str(error)
    return "flock succeeds twice"
