"""The command of a run, and the environment variables by which its processes know who started them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pannsdist

TRAIN = Path(pannsdist.__file__).parent / "train.py"
LOG_FOLDER = "log"


def training_command(config: Path, overrides: Sequence[str], processes: int, log_folder: Path) -> list[str]:
    """`train.py` in one process, or under Paddle's launcher, which logs to `log_folder`."""
    script = [str(TRAIN), "-c", str(config), *overrides]
    if processes == 1:
        return [sys.executable, *script]
    launcher = ["-W", "ignore:No ccache found", "-m", "paddle.distributed.launch", "--log_level", "WARNING"]
    return [sys.executable, *launcher, "--nproc_per_node", str(processes), "--log_dir", str(log_folder), *script]
