"""Processes of this machine by Linux's table (proc_pid_stat(5)); on another system nothing is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ENDED = "ZX"
"""States of one that has ended, and is only an entry of the table until its parent collects it."""


@dataclass(frozen=True)
class Process:
    """A process that has not ended: its number, that of its parent, and its start in clock ticks since `boot_id`."""

    number: int
    parent: int
    start_ticks: int


def process(number: int) -> Process | None:
    """The process with this number; None where there is none that runs."""
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, parent, *values = text.rpartition(")")[2].split()
    return None if state in ENDED else Process(number, int(parent), int(values[17]))


def boot_id() -> str:
    """What tells one start of this machine from another; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def number_space() -> str:
    """What process numbers count in, one for each container; empty where the system does not say."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
