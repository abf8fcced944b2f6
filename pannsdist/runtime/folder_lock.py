"""Exclusive use of a folder: a lock file that names its holder, and that the end of the holder frees, however it ends.

The lock is `flock`'s. Its file holds a JSON object with host, process id and start of the holder, for messages, and for
file systems that have no `flock`: there the recorded process decides. Readers ignore keys that they do not know.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from pannsdist.runtime import storage
from pannsdist.runtime.console import print_main
from pannsdist.runtime.errors import BadRunFolder, CannotWrite, shell_command
from pannsdist.runtime.foreign import parse_json

LOCK_FILE = ".lock"
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
"""Errors of `flock` on a file system without locks, such as Lustre mounted without them."""
TRIES, WAIT_S = 10, 0.05
"""A process that only looks at a lock holds it for an instant."""
OTHER_NAME = "wait for it to end, or stop it; another run needs another name, as name=NAME"


@dataclass(frozen=True)
class Holder:
    """A process that has a folder locked; `ticks` is its start in clock ticks of the machine start `boot`."""

    host: str
    pid: int
    started: str
    ticks: int = 0
    boot: str = ""

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, a process of this machine."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether that very process of this machine still runs."""
        return self.is_here and self.boot == _boot() and bool(self.ticks) and _ticks(self.pid) == self.ticks

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, which started {self.started}"


class FolderLock:
    """The lock of a folder, held by this process. Rank 0 only."""

    def __init__(self, folder: Path, handle: int) -> None:
        self.folder, self.handle, self._uses = folder, handle, 1

    @classmethod
    def acquire(cls, folder: Path, again: bool = True) -> FolderLock:
        """Lock a folder, creating it if needed; with `again`, also where this process has it, to be closed as often.

        Raises BadRunFolder, naming the holder, where another process has it; CannotWrite.
        """
        storage.make_folder(folder)
        mine = next((one for one in _held if one.is_in_place and one.folder.samefile(folder)), None)
        if mine is not None and again:
            mine._uses += 1
            return mine
        lock = cls._opened(folder)
        while not lock.is_in_place:  # its holder has removed the file meanwhile
            os.close(lock.handle)
            lock = cls._opened(folder)
        with storage.writing(folder / LOCK_FILE):
            _record(lock.handle, json.dumps(asdict(_this_process())) + "\n")
        _held.append(lock)
        return lock

    @classmethod
    def _opened(cls, folder: Path) -> FolderLock:
        """The lock of a folder, taken, without a record."""
        with storage.writing(folder / LOCK_FILE):
            handle = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock(handle, folder)
        except BaseException:
            os.close(handle)
            raise
        return cls(folder, handle)

    @property
    def is_in_place(self) -> bool:
        """Whether the folder still has this lock: not where it was removed, moved or replaced."""
        try:
            return os.path.samestat((self.folder / LOCK_FILE).stat(), os.fstat(self.handle))
        except FileNotFoundError:
            return False

    def check(self) -> None:
        """Raise CannotWrite where the folder was removed or moved since it was locked: it must not be made again."""
        if not self.is_in_place:
            wrong = f"{self.folder} was removed, moved or replaced while this process was writing into it"
            right = (
                "what was written there since the last checkpoint is lost; move the folder back, and repeat the command"
            )
            raise CannotWrite(wrong, right, shell_command("ls", "-ld", self.folder))

    def close(self) -> None:
        """Release the lock, once for each time that it was acquired; the last time removes the file."""
        self._uses -= 1
        if self._uses == 0:
            _held.remove(self)
            if self.is_in_place:
                storage.remove(self.folder / LOCK_FILE)
            os.close(self.handle)


_held: list[FolderLock] = []
"""The locks of this process."""


def _forget() -> None:
    """In a forked child: give up the inherited locks, which are its parent's."""
    for lock in _held:
        os.close(lock.handle)
    _held.clear()


os.register_at_fork(after_in_child=_forget)


def refuse_held(folder: Path) -> None:
    """Raise BadRunFolder where a living process other than this one has the folder locked. Writes nothing."""
    try:
        handle = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return  # no lock file: nobody has it
    try:
        if not any(os.path.samestat(os.fstat(one.handle), os.fstat(handle)) for one in _held):
            _lock(handle, folder, exclusive=False)
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path, exclusive: bool = True) -> None:
    """Take the lock of an open lock file. Raises BadRunFolder where another process has it."""
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    for attempt in range(TRIES):
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt < TRIES - 1:
                time.sleep(WAIT_S)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise storage.cannot_write(folder / LOCK_FILE, error) from error
            _refuse_recorded(handle, folder)
            if exclusive:
                print_main(f"note: {folder} is on a file system without locks: only this host notices a second run")
            return
        else:
            return
    raise _in_use(folder, _holder(handle))


def _refuse_recorded(handle: int, folder: Path) -> None:
    """Without locks: refuse where the recorded process lives, or may live on another machine."""
    holder = _holder(handle)
    if holder is None or (holder.is_here and not holder.is_alive):
        return
    error = _in_use(folder, holder)
    if not holder.is_here:
        error.right += f"\nthis file system has no locks: if that process has ended, remove {folder / LOCK_FILE}"
    raise error


def _in_use(folder: Path, holder: Holder | None) -> BadRunFolder:
    if holder is None:
        return BadRunFolder(f"another process is running in {folder}", OTHER_NAME, "ps aux | grep pannsdist")
    look = shell_command(*(() if holder.is_here else ("ssh", holder.host)), "ps", "-fp", holder.pid)
    if holder.is_here and not holder.is_alive:
        wrong = f"a process that was left behind by {holder}, is running in {folder}"
        return BadRunFolder(wrong, OTHER_NAME, shell_command("fuser", "-v", folder / LOCK_FILE))
    return BadRunFolder(f"{holder}, is running in {folder}", OTHER_NAME, look)


def _record(handle: int, text: str) -> None:
    """Replace the content of the lock file."""
    os.ftruncate(handle, 0)
    os.pwrite(handle, text.encode(), 0)


def _holder(handle: int) -> Holder | None:
    """The recorded holder; None where the record is empty, or is no such record."""
    try:
        found = parse_json(os.pread(handle, 4096, 0), "a lock")
        return Holder(**{key: kind(found[key]) for key, kind in _FIELDS.items()})
    except (ValueError, TypeError, KeyError):
        return None


_FIELDS = {"host": str, "pid": int, "started": str, "ticks": int, "boot": str}


def _this_process() -> Holder:
    ticks = _ticks(os.getpid())
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK") if ticks else 0.0
    started = datetime.fromtimestamp(time.time() - age_s).astimezone().isoformat(timespec="seconds")
    return Holder(socket.gethostname(), os.getpid(), started, ticks, _boot())


def _boot() -> str:
    """What tells one start of this machine from another; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _ticks(pid: int) -> int:
    """The start of a process in clock ticks since the start of the machine; 0 where there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[19])
