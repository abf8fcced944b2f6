"""The exit codes of all processes of a run, noted in files: Paddle's launcher gives one of them alone, or its own."""

from __future__ import annotations

import os
from pathlib import Path

from pannsdist.runtime import launcher, reading, storage

FOLDER = "PANNSDIST_EXIT_CODES"
"""Environment variable with the folder of the files, from the command that starts the processes."""


def note(code: int) -> None:
    """Note the exit code of this process, as its last act; nothing without a folder to note it in."""
    folder = os.environ.get(FOLDER)
    if folder and launcher.has_started():
        storage.write_file(_file(Path(folder), launcher.local_rank()), f"{code}\n")


def noted(folder: Path, rank: int) -> int | None:
    """The exit code that a process of this machine noted; None if it was killed, or has not ended."""
    text = reading.text_or_empty(_file(folder, rank)).strip()
    return int(text) if text.isdecimal() else None


def forget(folder: Path, rank: int) -> None:
    """Remove what an earlier process of the rank noted."""
    storage.remove(_file(folder, rank))


def _file(folder: Path, rank: int) -> Path:
    return folder / f"exit_code.{rank}"
