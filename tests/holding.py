"""A process of its own that has a folder locked, as a run does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from launching import PROJECT

CODE = """
import sys
from pathlib import Path
from pannsdist.runtime.folder_lock import FolderLock
lock = FolderLock.acquire(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(folder: Path, code: str = CODE) -> Iterator[subprocess.Popen]:
    """A process that locks a folder until it is killed, or the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=PROJECT,
        text=True,
    )
    assert process.stdout and process.stdin
    with process:
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()
