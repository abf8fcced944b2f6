"""Exclusive use of a folder: a lock file that names its holder, and that the end of the holder frees, however it ends.

The lock is `flock`'s. Some file systems have none, or one that other hosts do not see. So the holder also writes a beat
into the lock file every few seconds. One that finds there a process of another host, and no lock that proves anything,
waits whether its beat goes on; clocks are not compared. A holder that was stopped for longer than that has lost the
folder: it finds another process recorded before it writes again, and raises BadRunFolder.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

from pannsdist.runtime import lock_conflicts, lock_record, storage
from pannsdist.runtime.errors import BadRunFolder, CannotWrite, shell_command
from pannsdist.runtime.failed_writes import cannot_write
from pannsdist.runtime.lock_conflicts import LOCK_FILE, Beats
from pannsdist.runtime.lock_record import Holder

__all__ = ["LOCK_FILE", "Beats", "FolderLock", "is_held", "refuse_held"]

BEATS = Beats()


class FolderLock:
    """The lock of a folder, held by this process. Rank 0 only."""

    def __init__(self, folder: Path, handle: int, beats: Beats) -> None:
        self.folder, self.handle, self._uses = folder, handle, 1
        self._absolute = folder.absolute()
        self._beats, self._holder, self._beat = beats, lock_record.this_process(), 0
        self._beaten_at = 0.0
        self._lost_to: Holder | None = None
        self._beating, self._is_closing = threading.Lock(), threading.Event()
        self._beater = threading.Thread(target=self._run, name="folder lock", daemon=True)

    @classmethod
    def acquire(cls, folder: Path, again: bool = True, beats: Beats = BEATS) -> FolderLock:
        """Lock a folder, creating it if needed; with `again`, also where this process has it, to be closed as often.

        Returns at once, except where the folder has the record of a process of another host, and locks there prove
        nothing: then after `beats.lost_s` without a beat of it. Raises BadRunFolder, naming the holder, where another
        process has it; CannotWrite.
        """
        storage.make_folder(folder)
        mine = next((one for one in _held if one.is_in_place and one.folder.samefile(folder)), None)
        if mine is not None and again:
            mine._uses += 1
            return mine
        lock = cls._opened(folder, beats)
        while not lock.is_in_place:  # its holder has removed the file meanwhile
            os.close(lock.handle)
            lock = cls._opened(folder, beats)
        _held.append(lock)
        lock._beater.start()
        return lock

    @classmethod
    def _opened(cls, folder: Path, beats: Beats) -> FolderLock:
        """The lock of a folder, taken and recorded."""
        path = folder / LOCK_FILE
        with storage.writing(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            has_lock = lock_conflicts.take(handle, folder)
            lock = cls(folder, handle, beats)
            if lock.is_in_place:
                _refuse_recorded(handle, folder, has_lock, beats)
                with storage.writing(path):
                    lock._write_beat(handle)
        except BaseException:
            os.close(handle)
            raise
        return lock

    @property
    def is_in_place(self) -> bool:
        """Whether the folder still has this lock: not where it was removed, moved or replaced."""
        try:
            return os.path.samestat((self.folder / LOCK_FILE).stat(), os.fstat(self.handle))
        except FileNotFoundError:
            return False

    def check(self) -> None:
        """Raise where the folder is no longer this process's: BadRunFolder where another process has it now.

        CannotWrite where it was removed or moved since it was locked: it must not be made again.
        """
        if not self.is_in_place:
            wrong = f"{self.folder} was removed, moved or replaced while this process was writing into it"
            right = (
                "what was written there since the last checkpoint is lost; move the folder back, and repeat the command"
            )
            raise CannotWrite(wrong, right, shell_command("ls", "-ld", self.folder))
        self._refuse_lost(within_s=0)

    def guard(self, path: Path) -> None:
        """Raise BadRunFolder before a write into a folder that was lost. Looks at the file only after a pause."""
        if path.absolute().is_relative_to(self._absolute) and self.is_in_place:
            self._refuse_lost(self._beats.trusted_s)

    def _refuse_lost(self, within_s: float) -> None:
        """Raise BadRunFolder where the folder was lost, by the file unless it was beaten into `within_s` ago."""
        if _now() - self._beaten_at >= within_s:
            try:
                self.beat()
            except OSError as error:
                raise cannot_write(self.folder / LOCK_FILE, error) from error
        if self._lost_to is not None:
            found = lock_conflicts.in_use(self.folder, self._lost_to)
            wrong = f"{found.wrong}, which it has taken over: this process did not go on for {self._beats.lost_s:g} s"
            raise BadRunFolder(wrong, "this process writes nothing more there; the other one goes on", found.command)

    def beat(self) -> None:
        """Write the next beat, unless another process has the folder now. Raises OSError."""
        with self._beating:
            if self._lost_to is not None or self._is_closing.is_set():
                return
            # Opened anew and closed, which makes NFS read from its server, and write to it.
            handle = os.open(self.folder / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
            try:
                if not os.path.samestat(os.fstat(handle), os.fstat(self.handle)):
                    return
                self._lost_to = self._other(handle)
                if self._lost_to is None:
                    self._write_beat(handle)
            finally:
                os.close(handle)

    def _other(self, handle: int) -> Holder | None:
        """The recorded holder, where it is not this lock."""
        found = lock_record.parse(lock_record.content(handle))
        return None if found is None or found.token == self._holder.token else found

    def _write_beat(self, handle: int) -> None:
        begin, self._beat = _now(), self._beat + 1
        lock_record.write(handle, self._holder, self._beat)
        self._beaten_at = begin

    def _run(self) -> None:
        while not self._is_closing.wait(self._beats.every_s):
            try:
                self.beat()
            except OSError as error:  # if it lasts, the next write says so
                logging.getLogger(__name__).debug("no beat in %s: %s", self.folder, error)

    def close(self) -> None:
        """Release the lock, once for each time that it was acquired; the last time removes the file."""
        self._uses -= 1
        if self._uses == 0:
            _held.remove(self)
            self._is_closing.set()
            with self._beating:
                if self.is_in_place and self._lost_to is None and self._other(self.handle) is None:
                    storage.remove(self.folder / LOCK_FILE)
                os.close(self.handle)
            self._beater.join()


_held: list[FolderLock] = []
"""The locks of this process."""


def _forget() -> None:
    """In a forked child: give up the inherited locks, which are its parent's."""
    for lock in _held:
        os.close(lock.handle)
    _held.clear()


def _guard(path: Path) -> None:
    for lock in tuple(_held):
        lock.guard(path)


os.register_at_fork(after_in_child=_forget)
storage.guards.append(_guard)


def refuse_held(folder: Path) -> None:
    """Raise BadRunFolder where a living process other than this one is known to have the folder locked, at once.

    Writes nothing. A process of another host is not known where its locks may not be seen: `acquire` finds it.
    """
    _look(folder, doubtful=False)


def is_held(folder: Path) -> bool:
    """Whether a living process other than this one has the folder locked, or may have it, as far as is known at once.

    Of another host, where its locks may not be seen, it may have ended: `acquire` finds that out.
    """
    try:
        _look(folder, doubtful=True)
    except BadRunFolder:
        return True
    return False


def _look(folder: Path, doubtful: bool) -> None:
    try:
        handle = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return  # no lock file: nobody has it
    try:
        if any(os.path.samestat(os.fstat(one.handle), os.fstat(handle)) for one in _held):
            return
        has_lock = lock_conflicts.take(handle, folder, exclusive=False)
        if not os.fstat(handle).st_nlink:  # its holder has removed the file meanwhile
            return
        holder = lock_record.parse(lock_record.content(handle))
        in_doubt = holder and doubtful and lock_conflicts.is_in_doubt(holder, folder, has_lock)
        if in_doubt or (holder and _lives_here(holder)):
            raise lock_conflicts.in_use(folder, holder)
    finally:
        os.close(handle)


def _refuse_recorded(handle: int, folder: Path, has_lock: bool, beats: Beats) -> None:
    """Refuse where the recorded process lives, although its lock was not seen; waits for the beats of another host."""
    holder = lock_record.parse(lock_record.content(handle))
    if holder is None:
        return
    if _lives_here(holder):
        raise lock_conflicts.in_use(folder, holder)
    if lock_conflicts.is_in_doubt(holder, folder, has_lock):
        lock_conflicts.refuse_beating(folder, holder, beats)


def _lives_here(holder: Holder) -> bool:
    """Whether it is a living process of this host, other than one of which this process has left the record."""
    is_left = holder.pid == os.getpid() and holder.token not in {one._holder.token for one in _held}
    return holder.is_alive and not is_left


def _now() -> float:
    """Seconds that count on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
