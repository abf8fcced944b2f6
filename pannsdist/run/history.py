"""`history.json` in a run folder: when, by which command and with which software it was started; if it finished."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import paddle

import pannsdist
from pannsdist.runtime import launcher, storage
from pannsdist.runtime.errors import BadRunFolder
from pannsdist.runtime.json_files import JsonFile
from pannsdist.runtime.names import shown
from pannsdist.runtime.redaction import published_text

HISTORY_FILE = "history.json"
FORMAT = 1
KEPT_STARTS = 100
"""The first start and the latest of the others are kept."""
GIT_LIMIT_S = 2.0


@dataclass(frozen=True)
class Start:
    """A start of a run: local date with its offset, command, software versions, and commit.

    `commit` is that of the git checkout that the command was given in, with `+` for changed files; empty outside one.
    """

    date: str
    command: str
    versions: Mapping[str, str]
    commit: str


@dataclass(frozen=True)
class History:
    """The starts of a run, the first one first, and whether it has nothing left to do."""

    starts: tuple[Start, ...] = ()
    is_finished: bool = False


def versions() -> dict[str, str]:
    """The versions of the software that trains a model."""
    return {"pannsdist": pannsdist.__version__, "paddle": paddle.__version__, "python": platform.python_version()}


def add_start(folder: Path) -> None:
    """Add the start of this process to the history of a run folder. Rank 0 only."""
    date = datetime.now().astimezone().isoformat(timespec="seconds")
    start = Start(date, shown(published_text(launcher.command())), versions(), commit(Path.cwd()))
    first, *later = (*read_history(folder).starts, start)
    _write(folder, History((first, *later[1 - KEPT_STARTS :])))


def set_finished(folder: Path) -> None:
    """Note that the run has nothing left to do, until it is started again. Rank 0 only."""
    _write(folder, replace(read_history(folder), is_finished=True))


def read_history(folder: Path) -> History:
    """The history of a run folder; empty without a file. Raises CannotRead, BadRunFolder."""
    return HISTORY.read(folder / HISTORY_FILE) or History()


def commit(folder: Path) -> str:
    """The commit of the git checkout around a folder, with `+` if tracked files differ from it.

    Empty without git or a checkout, and where git takes longer than GIT_LIMIT_S: a slow disk must not hold a run.
    """
    found = _git(folder, "rev-parse", "--short=12", "HEAD")
    if not found:
        return ""
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{found}+" if changed or changed is None else found


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None if it fails."""
    command = ("git", "-c", "core.fsmonitor=false", *arguments)
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    given: dict[str, Any] = {"cwd": folder, "env": quiet, "stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        ended = subprocess.run(command, stdout=subprocess.PIPE, timeout=GIT_LIMIT_S, check=False, **given)  # noqa: S603 - fixed words
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.decode(errors="replace").strip() if ended.returncode == 0 else None


def _start(content: Mapping[str, Any]) -> Start:
    software = {str(name): str(version) for name, version in content["versions"].items()}
    return Start(str(content["date"]), str(content["command"]), software, str(content["commit"]))


def _history(content: Mapping[str, Any]) -> History:
    return History(tuple(_start(one) for one in content["starts"]), bool(content["finished"]))


WITHOUT = "remove it, and repeat the command: the run goes on without its earlier history"
HISTORY = JsonFile(_history, BadRunFolder, WITHOUT, FORMAT, is_removable=True)


def _write(folder: Path, history: History) -> None:
    content = {"format": FORMAT, "starts": [vars(one) for one in history.starts], "finished": history.is_finished}
    storage.write_atomic(folder / HISTORY_FILE, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
