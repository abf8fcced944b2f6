"""The temporary files of one session of the tests: a folder of its own, so that two at a time do not meet."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

PREFIX = "pannsdist-tests-"
ABANDONED_S = 3600.0


def make() -> Path:
    """A new folder. Those of sessions that were killed an hour ago or earlier are removed."""
    root = Path(os.environ.get("PYTEST_DEBUG_TEMPROOT") or tempfile.gettempdir())
    for path in root.glob(f"{PREFIX}*-*"):
        if _is_abandoned(path):
            remove(path)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=root))


def remove(folder: Path) -> None:
    """Remove a folder, except what cannot be removed, such as that of another user."""
    shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    process = folder.name.removeprefix(PREFIX).partition("-")[0]
    try:
        is_old = time.time() - folder.stat().st_mtime > ABANDONED_S
    except FileNotFoundError:  # its session has just ended
        return False
    return is_old and process.isdigit() and not Path("/proc", process).exists()
