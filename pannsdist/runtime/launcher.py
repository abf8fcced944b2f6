"""Environment variables of `paddle.distributed.launch`. Reading them connects nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pannsdist.runtime.errors import shell_command

COMMAND = "PANNSDIST_COMMAND"
"""Our own variable: the command that the user typed, which starts these processes."""


def rank() -> int:
    """Rank of this process; 0 without a launcher."""
    return int(os.environ.get("PADDLE_TRAINER_ID", "0"))


def has_started() -> bool:
    """Whether Paddle's launcher has started this process."""
    return "PADDLE_TRAINER_ID" in os.environ


def local_rank() -> int:
    """Number of this process among those of this machine; 0 without a launcher."""
    return int(os.environ.get("PADDLE_LOCAL_RANK") or rank())


def size() -> int:
    """Number of processes; 1 without a launcher."""
    return int(os.environ.get("PADDLE_TRAINERS_NUM", "1"))


def nodes() -> int:
    """Number of machines of this run; 1 without a launcher."""
    return int(os.environ.get("PADDLE_NNODES", "1"))


def master_host() -> str:
    """Name or address of the machine of rank 0, as the launcher of every node was given it."""
    return _master().rpartition(":")[0].strip("[]")


def master_port() -> int:
    """Port of rank 0's store."""
    return int(_master().rpartition(":")[2])


def _master() -> str:
    return os.environ.get("PADDLE_MASTER") or os.environ["PADDLE_TRAINER_ENDPOINTS"].split(",")[0]


def log_folder() -> Path | None:
    """Folder in which the launcher logs the output and environment of the processes; None without a launcher."""
    folder = os.environ.get("PADDLE_LOG_DIR")
    return Path(folder) if folder else None


def log_of(other: int) -> Path | None:
    """The log of a process of this run, if it runs on this machine and the launcher logs."""
    folder, number = log_folder(), other - (rank() - local_rank())
    if folder is None or not 0 <= number < int(os.environ.get("PADDLE_LOCAL_SIZE") or size()):
        return None
    return folder / f"workerlog.{number}"


def command() -> str:
    """The command that started this run, as far as this process can know, for repeating it."""
    if typed := os.environ.get(COMMAND):
        return typed
    if size() == 1:
        return shell_command("python", *sys.argv)
    if nodes() > 1:
        return "the same command on every node"
    return shell_command("python", "-m", "paddle.distributed.launch", "--nproc_per_node", size(), *sys.argv)
