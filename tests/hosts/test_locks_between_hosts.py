"""The lock of a folder between hosts: processes with their own network, mounts, host name and process numbers.

One file system shows locks to all: `tmpfs`. Of the other one two hosts see the same files, but not each other's locks:
two mounts of `overlay` with one upper folder, whose locks are those of the mount. (A file that was removed through one
of them stays half visible through the other, so what is removed is not looked at there.)
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import launching
import pytest

from pannsdist.runtime import shared_locks, storage
from pannsdist.runtime.errors import BadRunFolder
from pannsdist.runtime.folder_lock import LOCK_FILE, Beats, FolderLock, is_held, refuse_held

BEATS = Beats(every_s=0.1, lost_s=1.5)
HOLDER = f"""
import sys
from pathlib import Path
from pannsdist.runtime import storage
from pannsdist.runtime.errors import BadRunFolder
from pannsdist.runtime.folder_lock import Beats, FolderLock
folder = Path(sys.argv[1])
lock = FolderLock.acquire(folder, beats=Beats({BEATS.every_s}, {BEATS.lost_s}))
print("locked", flush=True)
for line in sys.stdin:
    try:
        storage.append_line(folder / "lines", line.strip())
        print("written", flush=True)
    except BadRunFolder as error:
        print(repr(str(error)), flush=True)
lock.close()
"""
NAMESPACES = ("--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")


class Other:
    """A process of another host that has a folder."""

    def __init__(self, process):
        self.process = process
        self.said = process.stdout.readline().strip()

    @property
    def _inner(self):
        number = self.process.pid
        (inner,) = Path(f"/proc/{number}/task/{number}/children").read_text().split()
        return int(inner)

    def signal(self, number):
        os.kill(self._inner, number)
        if number == signal.SIGKILL:
            self.process.wait()

    def writes(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@contextmanager
def other_host(folder):
    named = ("sh", "-c", 'hostname otherhost && exec "$@"', "sh")
    command = ["unshare", *NAMESPACES, *named, sys.executable, "-c", HOLDER, folder]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=launching.PROJECT, **pipes) as process:
        other = Other(process)
        assert other.said == "locked"
        yield other
        if process.poll() is None:
            process.stdin.close()
            assert process.wait() == 0


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A folder on `tmpfs`, and two mounts of `overlay` that show one of its folders."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("namespaces and mounts need root and util-linux")
    disk = tmp_path_factory.mktemp("disk")
    tried = subprocess.run(["unshare", *NAMESPACES, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no namespaces here: {tried.stderr.strip()}")
    mounted = []

    def mount(kind, point, *options):
        done = subprocess.run(
            ["mount", "-t", kind, *options, kind, str(point)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"no mounts here: {done.stderr.strip()}")
        mounted.append(point)

    try:
        mount("tmpfs", disk)
        (disk / "upper").mkdir()
        for name in ("one", "two"):
            places = [disk / f"{name}-{what}" for what in ("lower", "work", "mount")]
            for place in places:
                place.mkdir()
            options = f"lowerdir={places[0]},upperdir={disk / 'upper'},workdir={places[1]},index=off"
            mount("overlay", places[2], "-o", options)
        yield disk
    finally:
        for point in reversed(mounted):
            subprocess.run(["umount", "--lazy", point], check=True)  # a failed test may have files open


def test_a_lock_that_all_hosts_see_is_refused_and_freed_by_a_kill_without_waiting(disk, capsys):
    folder = disk / "run"
    assert shared_locks.are_shared(folder)
    with other_host(folder) as other:
        for attempt in (FolderLock.acquire, refuse_held):
            with pytest.raises(BadRunFolder, match=r"on otherhost, which started .* is running in") as caught:
                attempt(folder)
            assert caught.value.command.startswith("ssh otherhost ps -fp ")
        assert is_held(folder)
        other.signal(signal.SIGKILL)
        assert not is_held(folder)
        FolderLock.acquire(folder).close()
    assert "waiting" not in capsys.readouterr().out


@pytest.fixture
def mounts(disk, request):
    """The same folder, as this host sees it and as the other one does."""
    seen = [disk / f"{name}-mount" / request.node.name for name in ("one", "two")]
    seen[0].mkdir()
    assert not any(map(shared_locks.are_shared, seen))
    return seen


def test_on_the_other_file_system_both_hosts_get_the_lock(mounts):
    """Otherwise the tests below would test nothing."""
    own, others = (os.open(folder / "file", os.O_RDWR | os.O_CREAT) for folder in mounts)
    for handle in (own, others):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    for handle in (own, others):
        os.close(handle)


def test_where_locks_are_not_seen_the_beats_of_the_other_host_refuse(mounts, capsys):
    own, others = mounts
    with other_host(others):
        with pytest.raises(BadRunFolder, match=r"on otherhost, which started .* is running in"):
            FolderLock.acquire(own, beats=BEATS)
        assert is_held(own)
        assert capsys.readouterr().out.count("waiting 1.5 s whether it still runs") == 1


def test_a_killed_process_of_another_host_frees_the_folder_after_its_last_beat(mounts):
    own, others = mounts
    with other_host(others) as other:
        other.signal(signal.SIGKILL)
        FolderLock.acquire(own, beats=BEATS).close()


def test_a_process_that_was_stopped_for_long_writes_nothing_where_another_one_has_the_folder(mounts):
    own, others = mounts
    with other_host(others) as other:
        assert other.writes("one") == "written"
        other.signal(signal.SIGSTOP)
        lock = FolderLock.acquire(own, beats=BEATS)
        storage.append_line(own / "lines", "two")
        other.signal(signal.SIGCONT)
        assert f"process {os.getpid()} on " in (said := other.writes("three"))
        assert "which it has taken over" in said
        assert (own / "lines").read_text() == "one\ntwo\n"
    lock.check()  # the end of the other one has not removed it
    assert (own / LOCK_FILE).exists()
    lock.close()


def test_one_of_this_host_is_refused_at_once_through_another_mount(mounts):
    own, others = mounts
    lock = FolderLock.acquire(others)
    code = (
        f"from pathlib import Path; from pannsdist.runtime.folder_lock import *; FolderLock.acquire(Path({str(own)!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=launching.PROJECT, capture_output=True, text=True, check=False
    )
    assert f"process {os.getpid()} on " in done.stderr
    assert "waiting" not in done.stdout
    lock.check()
    lock.close()
