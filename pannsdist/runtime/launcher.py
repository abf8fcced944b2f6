"""What `paddle.distributed.launch` told this process, in its environment. Nothing is connected."""

from __future__ import annotations

import os
import shlex
import sys
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


def command() -> str:
    """What was typed to start this run, as far as this process can know; to be typed again."""
    own = shlex.join(sys.argv)
    if size() == 1:
        return f"python {own}"
    if int(os.environ.get("PADDLE_NNODES", "1")) > 1:
        return "the same command on every node"
    return f"python -m paddle.distributed.launch --nproc_per_node {size()} {own}"
