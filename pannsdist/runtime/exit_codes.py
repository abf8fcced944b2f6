"""How each process of a run ended, noted in files: Paddle's launcher gives one exit code alone, or its own.

`exit_code.N` has the exit code of rank N, `error.N` the UserError that ended it: its type and three texts as JSON. Both
get their room before the process starts: its disk may be full when it ends, and a full disk may be why.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from pannsdist.runtime import errors, launcher, reading, storage
from pannsdist.runtime.errors import CannotWrite, UserError
from pannsdist.runtime.json_files import JsonFile

FOLDER = "PANNSDIST_EXIT_CODES"
"""Environment variable with the folder of the files, from the command that starts the processes."""
TEXTS = ("wrong", "right", "command")
CODE_BYTES, ERROR_BYTES = 8, 4096


def note(code: int) -> None:
    """Note the exit code of this process, as its last act; nothing without a folder, or where it cannot be written."""
    folder = _folder()
    if folder is not None:
        with suppress(CannotWrite):  # the process still ends with it
            storage.overwrite(_file(folder, launcher.local_rank()), f"{code}".ljust(CODE_BYTES))


def note_error(error: UserError) -> None:
    """Note the error that ends this process; nothing without a folder, or where the file cannot be written."""
    folder = _folder()
    if folder is not None:
        content = {"type": type(error).__name__, **{name: getattr(error, name) for name in TEXTS}}
        with suppress(CannotWrite):  # the exit code and the log still say it
            storage.overwrite(_error_file(folder, launcher.local_rank()), json.dumps(content).ljust(ERROR_BYTES))


def noted(folder: Path, rank: int) -> int | None:
    """The exit code that a process of this machine noted; None if it was killed, or has not ended."""
    text = reading.text_or_empty(_file(folder, rank)).strip()
    return int(text) if text.isdecimal() else None


def noted_error(folder: Path, rank: int) -> UserError | None:
    """The error that a process noted, of the type that it had; None without one. Raises CannotRead."""
    return ERROR_NOTE.read(_error_file(folder, rank))


def reserve(folder: Path, rank: int) -> None:
    """Make room for what a process will note, and forget what an earlier one of the rank noted. Raises CannotWrite."""
    storage.overwrite(_file(folder, rank), " " * CODE_BYTES)
    storage.overwrite(_error_file(folder, rank), " " * ERROR_BYTES)


def _error(content: dict[str, str]) -> UserError:
    kind = getattr(errors, content["type"], UserError)
    is_kind = isinstance(kind, type) and issubclass(kind, UserError)
    return (kind if is_kind else UserError)(*(content[name] for name in TEXTS))


ERROR_NOTE = JsonFile(_error, UserError, None)
"""A damaged note is none: the log still says what happened."""


def _folder() -> Path | None:
    folder = os.environ.get(FOLDER)
    return Path(folder) if folder and launcher.has_started() else None


def _file(folder: Path, rank: int) -> Path:
    return folder / f"exit_code.{rank}"


def _error_file(folder: Path, rank: int) -> Path:
    return folder / f"error.{rank}"
