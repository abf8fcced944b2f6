"""Whether another process has a folder: by its lock, by its process number on this host, or by its beats."""

from __future__ import annotations

import errno
import fcntl
import time
from dataclasses import dataclass
from pathlib import Path

from pannsdist.runtime import lock_record, shared_locks, storage
from pannsdist.runtime.console import print_main
from pannsdist.runtime.errors import BadRunFolder, shell_command
from pannsdist.runtime.failed_writes import cannot_write
from pannsdist.runtime.lock_record import Holder

LOCK_FILE = ".lock"
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
"""Errors of `flock` on a file system without locks, such as Lustre mounted without them."""
TRIES, WAIT_S = 10, 0.05
"""A process that only looks at a lock holds it for an instant."""
LOOKS = 20
"""How often a beat is looked for until it counts as missing."""
OTHER_NAME = "wait for it to end, or stop it; another run needs another name, as name=NAME"


@dataclass(frozen=True)
class Beats:
    """A holder writes a beat every `every_s` seconds; one that was seen to write none for `lost_s` has lost the folder.

    The holder itself trusts a beat for `trusted_s`, and looks into the file again before it writes after that.
    """

    every_s: float = 5.0
    lost_s: float = 30.0

    @property
    def trusted_s(self) -> float:
        """Shorter than `lost_s`, so that the holder is the first one that doubts."""
        return self.lost_s / 2


def take(handle: int, folder: Path, exclusive: bool = True) -> bool:
    """Take the lock of an open lock file; False where there are no locks. Raises BadRunFolder where it is taken."""
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    for attempt in range(TRIES):
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt < TRIES - 1:
                time.sleep(WAIT_S)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise cannot_write(folder / LOCK_FILE, error) from error
            return False
        else:
            return True
    raise in_use(folder, lock_record.parse(lock_record.content(handle)))


def is_in_doubt(holder: Holder, folder: Path, has_lock: bool) -> bool:
    """Whether the recorded process, of another host, may live although this one has the lock, or there is none."""
    return not holder.is_here and not (has_lock and shared_locks.are_shared(folder))


def refuse_beating(folder: Path, holder: Holder, beats: Beats) -> None:
    """Wait whether the beat of a process of another host goes on, and raise BadRunFolder as soon as it does.

    Clocks of hosts are not compared: only this process's own clock counts, between two changes of the file.
    """
    path = folder / LOCK_FILE
    print_main(
        f"note: {folder} was locked by {holder}, and locks of other hosts are not seen there;"
        f" waiting {beats.lost_s:g} s whether it still runs"
    )
    with storage.writing(path):
        known, until = path.read_bytes(), time.monotonic() + beats.lost_s
        while time.monotonic() < until:
            time.sleep(beats.lost_s / LOOKS)
            if not path.exists():
                return  # it has just ended
            if path.read_bytes() != known:
                raise in_use(folder, lock_record.parse(path.read_bytes()) or holder)


def in_use(folder: Path, holder: Holder | None) -> BadRunFolder:
    """The error where another process has the folder."""
    if holder is None:
        return BadRunFolder(f"another process is running in {folder}", OTHER_NAME, "ps aux | grep pannsdist")
    look = shell_command(*(() if holder.is_here else ("ssh", holder.host)), "ps", "-fp", holder.pid)
    if holder.is_here and not holder.is_alive:
        wrong = f"a process that was left behind by {holder}, is running in {folder}"
        return BadRunFolder(wrong, OTHER_NAME, shell_command("fuser", "-v", folder / LOCK_FILE))
    return BadRunFolder(f"{holder}, is running in {folder}", OTHER_NAME, look)
