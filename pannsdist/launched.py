"""What `paddle.distributed.launch` told this process, in its environment. Nothing is connected."""

from __future__ import annotations

import os
from pathlib import Path


def rank() -> int:
    """This process's number; 0 without a launcher."""
    return int(os.environ.get("PADDLE_TRAINER_ID", "0"))


def size() -> int:
    """The number of processes; 1 without a launcher."""
    return int(os.environ.get("PADDLE_TRAINERS_NUM", "1"))


def log_folder() -> Path | None:
    """Where the launcher writes the processes' output, and their whole environment; None without a launcher."""
    folder = os.environ.get("PADDLE_LOG_DIR")
    return Path(folder) if folder else None
