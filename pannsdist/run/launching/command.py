"""The command of a run, and the environment variables by which its processes know who started them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pannsdist
from pannsdist.runtime import storage

TRAIN = Path(pannsdist.__file__).parent / "train.py"
LOG_FOLDER = "log"


def training_command(config: Path, overrides: Sequence[str], processes: int, log_folder: Path) -> list[str]:
    """`train.py` in one process, or under Paddle's launcher, which logs to `log_folder`."""
    script = [str(TRAIN), "-c", str(config), *overrides]
    if processes == 1:
        return [sys.executable, *script]
    return launcher_command(processes, log_folder, (), script)


def launcher_command(processes: int, log_folder: Path, options: Sequence[str], script: Sequence[str]) -> list[str]:
    """Paddle's launcher for so many processes on this machine, with further options of it."""
    launcher = ["-W", "ignore:No ccache found", "-m", "paddle.distributed.launch", "--log_level", "WARNING"]
    own = ["--nproc_per_node", str(processes), "--log_dir", str(log_folder)]
    return [sys.executable, *launcher, *options, *own, *script]


def make_log_folder(folder: Path) -> None:
    """Create the folder for the launcher's files, which hold the environment, for its owner only.

    A run that was started by hand may have left a link to its own log folder there: that folder is not touched.
    """
    if folder.is_symlink():
        storage.remove(folder)
    storage.make_folder(folder, private=True)
